"""However a stage that DVC runs is ended, no process and no lock is left."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import RunCancelledError, StageTimeoutError
from pipelines.workspaces import run_state
from tests.pipelines.dvc_repo.test_stages import ignore, make
from tests.pipelines.standin import ROOT, SLOW, commit
from tests.pipelines.workspaces.test_process_group import gone, wait_for


def test_ctrl_c_leaves_no_child_and_no_lock(project: Path) -> None:
    (project / "stage.py").write_text(SLOW + "print('started', flush=True); time.sleep(600)\n")
    made = make(project)

    def on_line(line: str) -> None:
        if line == "started":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dvc_stages.repro(made, "download", on_line)
    assert gone(int((made / "pid").read_text()))
    (made / "stage.py").write_text(
        "import pathlib; pathlib.Path('data').mkdir(exist_ok=True)\n"
        "pathlib.Path('data/raw.txt').write_text('again')\n"
    )
    assert dvc_stages.repro(made, "download", ignore) is True


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_no_stage_running(project: Path, way: signal.Signals) -> None:
    (project / "stage.py").write_text(SLOW + "time.sleep(600)\n")
    commit(project)
    made = make(project)
    code = (
        "import sys, pathlib; from pipelines.dvc_repo import stages;"
        "stages.repro(pathlib.Path(sys.argv[1]), 'download', print)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(made)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: (made / "pid").exists() and (made / "pid").read_text(), "the stage starts")
    parent.send_signal(way)
    parent.wait(30)
    wait_for(lambda: gone(int((made / "pid").read_text())), "the stage ends")


def test_a_time_limit_and_a_cancelling_end_the_stage(project: Path) -> None:
    (project / "stage.py").write_text(SLOW + "print('started', flush=True); time.sleep(600)\n")
    made = make(project)
    with pytest.raises(
        StageTimeoutError, match=r"^Stage download was stopped after 1 s: raise run\."
    ):
        dvc_stages.repro(made, "download", ignore, timeout_s=1)
    run_state.mark(made, "failed")  # deletes what DVC was writing when it was killed
    cancelled = threading.Event()

    def on_line(line: str) -> None:
        if line == "started":  # DVC has lines of its own before
            cancelled.set()

    with pytest.raises(RunCancelledError, match=r"^Cancelled in stage download; all its processes"):
        dvc_stages.repro(made, "download", on_line, timeout_s=600, cancelled=cancelled)
    assert gone(int((made / "pid").read_text()))
