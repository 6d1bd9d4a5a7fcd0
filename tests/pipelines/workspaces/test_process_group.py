"""The supervisor with real processes: nothing stays behind, and codes pass through."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipelines.workspaces import process_group
from tests.pipelines.standin import ROOT

# A command with a child of its own that ignores TERM's first arrival at its parent.
GRANDCHILD = "sleep 600 & echo $! > grandchild; wait"
DEADLINE_S = 30.0


def wait_for(condition, what: object, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def grandchild(folder: Path) -> int:
    file = folder / "grandchild"
    wait_for(lambda: file.exists() and file.read_text().strip(), "the grandchild starts")
    return int(file.read_text())


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + signal.SIGKILL)]
)
def test_the_exit_code_is_the_commands(tmp_path: Path, script: str, code: int) -> None:
    process = process_group.start(["sh", "-c", script], tmp_path, dict(os.environ))
    assert process.wait(DEADLINE_S) == code


def test_both_streams_come_as_lines(tmp_path: Path) -> None:
    process = process_group.start(
        ["sh", "-c", "echo 北京; echo two >&2"], tmp_path, dict(os.environ)
    )
    assert process.stdout.read().splitlines() == ["北京", "two"]
    assert process.wait(DEADLINE_S) == 0


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    process = process_group.start(["no-such-command"], tmp_path, dict(os.environ))
    assert process.stdout.read().strip() == "no-such-command: No such file or directory"
    assert process.wait(DEADLINE_S) == 127


@pytest.mark.parametrize("way", ["close", signal.SIGTERM, signal.SIGINT])
def test_closing_the_pipe_or_a_signal_ends_the_whole_group(tmp_path: Path, way) -> None:
    process = process_group.start(["sh", "-c", GRANDCHILD], tmp_path, dict(os.environ))
    pid = grandchild(tmp_path)
    process.stdin.close() if way == "close" else process.send_signal(way)
    expected = 128 + (signal.SIGHUP if way == "close" else way)
    assert process.wait(DEADLINE_S) == expected
    assert gone(pid)


def test_a_command_that_ignores_term_is_killed(tmp_path: Path, monkeypatch) -> None:
    source = Path(process_group.__file__).read_text().replace("GRACE_S = 10.0", "GRACE_S = 0.3")
    quick = tmp_path / "quick.py"
    quick.write_text(source)
    monkeypatch.setattr(process_group, "__file__", str(quick))
    script = f"trap '' TERM; {GRANDCHILD}"
    process = process_group.start(["sh", "-c", script], tmp_path, dict(os.environ))
    pid = grandchild(tmp_path)
    process.terminate()
    process.wait(DEADLINE_S)
    assert gone(pid)


@pytest.mark.parametrize(("timeout_s", "why"), [(600, "stop"), (0.3, "timeout")])
def test_a_time_limit_or_an_event_ends_the_whole_group(tmp_path: Path, timeout_s, why) -> None:
    process = process_group.start(["sh", "-c", GRANDCHILD], tmp_path, dict(os.environ))
    pid, stop = grandchild(tmp_path), threading.Event()
    with process_group.ended_by(process, timeout_s, stop) as found:
        if why == "stop":
            stop.set()
        assert process.wait(DEADLINE_S) == 128 + signal.SIGHUP
    assert found == [why]
    assert gone(pid)


def test_a_command_that_ends_in_time_is_left_alone(tmp_path: Path) -> None:
    process = process_group.start(["sh", "-c", "exit 3"], tmp_path, dict(os.environ))
    with process_group.ended_by(process, None, threading.Event()) as why:
        assert process.wait(DEADLINE_S) == 3
    assert why == []


def test_what_a_finished_command_left_running_is_ended(tmp_path: Path) -> None:
    script = "sleep 600 >/dev/null 2>&1 & echo $! > grandchild"
    process = process_group.start(["sh", "-c", script], tmp_path, dict(os.environ))
    assert process.wait(DEADLINE_S) == 0
    assert gone(int((tmp_path / "grandchild").read_text()))


# As a server or a daemon does: it leaves the group and the session, and its parent ends.
DAEMON = "setsid sh -c 'sleep 600 & echo $! > grandchild; wait' >/dev/null 2>&1 &"


@pytest.mark.parametrize("ending", ["by itself", "timeout", "close"])
def test_a_process_in_a_session_of_its_own_is_ended_too(tmp_path: Path, ending: str) -> None:
    rest = "" if ending == "by itself" else "sleep 600"
    script = f"{DAEMON} until [ -s grandchild ]; do :; done; {rest}"
    process = process_group.start(["sh", "-c", script], tmp_path, dict(os.environ))
    pid = grandchild(tmp_path)
    limit = 0.2 if ending == "timeout" else None
    with process_group.ended_by(process, limit, threading.Event()) as why:
        if ending == "close":
            process.stdin.close()
        assert process.wait(DEADLINE_S) == (0 if ending == "by itself" else 128 + signal.SIGHUP)
    assert why == (["timeout"] if limit else [])
    assert gone(pid)


def test_what_starts_after_the_signal_may_clean_up(tmp_path: Path) -> None:
    late = "setsid sh -c 'sleep 0.5; echo done > cleaned' >/dev/null 2>&1 &"
    script = f'trap "{late} exit" TERM; {GRANDCHILD}'
    process = process_group.start(["sh", "-c", script], tmp_path, dict(os.environ))
    grandchild(tmp_path)
    process.stdin.close()
    process.wait(DEADLINE_S)
    assert (tmp_path / "cleaned").read_text() == "done\n"


def test_a_parent_that_is_killed_takes_the_grandchild_with_it(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, pathlib; from pipelines.workspaces import process_group;"
            f"command = ['sh', '-c', {GRANDCHILD!r}];"
            "process_group.start(command, pathlib.Path('.'), dict(os.environ)).wait()",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    pid = grandchild(tmp_path)
    parent.kill()
    parent.wait(DEADLINE_S)
    wait_for(lambda: gone(pid), "the grandchild ends")


def test_it_is_light() -> None:
    code = "import sys, pipelines.workspaces.process_group\n"
    code += "print([m for m in sys.modules if '.' not in m])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"dvc", "mlflow", "prefect", "torch", "numpy", "pydantic", "yaml"}
    assert not heavy & set(eval(result.stdout))  # noqa: S307
