"""However a stage that DVC runs is ended, no process and no lock is left."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipelines.dvc_repo import repro
from pipelines.dvc_repo.preloaded import PROGRAM, Dvc
from pipelines.errors import RunCancelledError, StageFailed, StageTimeoutError
from tests.pipelines.dvc_repo.test_stages import ignore, make
from tests.pipelines.standin import ROOT, SLOW, commit
from tests.pipelines.workspaces.test_process_group import gone, wait_for


def test_ctrl_c_leaves_no_child_and_no_lock(project: Path) -> None:
    more_than_a_pipe_takes = "print('started\\n' + 'more\\n' * 99_999, flush=True)"
    (project / "stage.py").write_text(f"{SLOW}{more_than_a_pipe_takes}; time.sleep(600)\n")
    made = make(project)

    def on_line(line: str) -> None:
        if line == "started":
            (made / ".dvc/tmp/rwlock").write_text("")  # as if DVC were killed while it writes that
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repro.repro(made, "download", on_line)
    assert gone(int((made / "pid").read_text()))
    (made / "stage.py").write_text(
        "import pathlib; pathlib.Path('data').mkdir(exist_ok=True)\n"
        "pathlib.Path('data/raw.txt').write_text('again')\n"
    )
    assert repro.repro(made, "download", ignore) is True


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_no_stage_running(project: Path, way: signal.Signals) -> None:
    (project / "stage.py").write_text(SLOW + "time.sleep(600)\n")
    commit(project)
    made = make(project)
    code = (
        "import sys, pathlib; from pipelines.dvc_repo import repro;"
        "repro.repro(pathlib.Path(sys.argv[1]), 'download', print)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(made)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: (made / "pid").exists() and (made / "pid").read_text(), "it starts", 90)
    parent.send_signal(way)
    parent.wait(30)
    wait_for(lambda: gone(int((made / "pid").read_text())), "the stage ends")


def test_a_time_limit_and_a_cancelling_end_the_stage(project: Path) -> None:
    (project / "stage.py").write_text(SLOW + "print('started', flush=True); time.sleep(600)\n")
    made = make(project)
    with pytest.raises(
        StageTimeoutError, match=r"^Stage download was stopped after 1 s: raise run\."
    ):
        repro.repro(made, "download", ignore, timeout_s=1)
    cancelled = threading.Event()

    def on_line(line: str) -> None:
        if line == "started":  # DVC has lines of its own before
            (made / ".dvc/tmp/rwlock").write_text("")
            cancelled.set()

    with pytest.raises(RunCancelledError, match=r"^Cancelled in stage download; all its processes"):
        repro.repro(made, "download", on_line, timeout_s=600, cancelled=cancelled)
    assert gone(int((made / "pid").read_text()))
    assert not (made / ".dvc/tmp/rwlock").exists()


# It takes the seconds, and ends with the code, that a file says.
TOLD = """\
import time
from pathlib import Path
seconds, code = Path("told").read_text().split()
Path("data").mkdir(exist_ok=True)
Path("data/raw.txt").write_text("raw")
time.sleep(float(seconds))
raise SystemExit(int(code))
"""


def test_one_dvc_runs_stage_after_stage_and_is_replaced_after_a_stop_or_a_kill(
    project: Path,
) -> None:
    (project / "stage.py").write_text(TOLD)
    made = make(project)

    def stage(seconds: int = 0, code: int = 0) -> bool:
        (made / "told").write_text(f"{seconds} {code}")
        return repro.repro(made, "download", ignore, True, 1 if seconds else None, dvc=dvc)

    def server() -> psutil.Process:
        children = [c for c in psutil.Process().children() if c.status() != psutil.STATUS_ZOMBIE]
        [found] = [each for each in children if PROGRAM in each.cmdline()]
        return found

    with Dvc(made) as dvc:
        first = server()
        assert stage()
        with pytest.raises(StageFailed) as failed:
            stage(code=3)
        assert failed.value.exit_code == 3
        assert stage()
        assert server() == first
        with pytest.raises(StageTimeoutError):
            stage(seconds=600)
        assert stage()
        server().kill()
        with suppress(StageFailed):  # it may have been asked just before
            stage()
        assert stage()
        last = server()
    assert gone(last.pid)
