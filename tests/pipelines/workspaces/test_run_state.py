"""What a workspace says of its run, whichever way that ends."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.errors import PipelineError, RunCancelledError
from pipelines.workspaces import run_state, workspace
from tests.pipelines.standin import ROOT, clean_environment
from tests.pipelines.workspaces.test_process_group import wait_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / ".runs" / "20260101T000000Z-aaaaaa"
    (made / ".dvc" / "tmp" / "rwlock.lock").mkdir(parents=True)
    (made / ".dvc" / "tmp" / "lock").write_text("1")
    (made / workspace.RECORD).write_text("{}")
    return made


def locks(path: Path) -> list[str]:
    return [left.name for left in (path / ".dvc" / "tmp").iterdir()]


@pytest.mark.parametrize(
    ("error", "word", "reason"),
    [
        (None, "complete", ""),
        (PipelineError("Stage x failed.\n its lines"), "failed", "Stage x failed."),
        (ValueError("odd"), "failed", "ValueError('odd')"),
        (RunCancelledError("Cancelled in stage x"), "cancelled", "Cancelled in stage x"),
        (KeyboardInterrupt(), "cancelled", "ended by Ctrl-C"),
        (SystemExit(143), "cancelled", "ended by a signal"),
    ],
)
def test_each_end_is_marked_and_leaves_no_lock(path: Path, error, word, reason) -> None:
    def run() -> None:
        with run_state.running(path):
            assert run_state.word(path) == "running"
            run_state.sweep(path.parents[1])
            assert run_state.word(path) == "running"
            with run_state.none_running(path.parents[1]) as alone:
                assert not alone
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            run()
    else:
        run()
    assert (run_state.read(path).state, run_state.read(path).reason) == (word, reason)
    assert locks(path) == []
    with run_state.none_running(path.parents[1]) as alone:
        assert alone


@pytest.mark.parametrize("error", [PipelineError("MLflow is away"), KeyboardInterrupt()])
def test_what_had_done_its_stages_can_be_logged(path: Path, error: BaseException) -> None:
    def run() -> None:
        with run_state.running(path):
            run_state.mark(path, "running", run_state.STAGES_DONE)
            raise error

    with pytest.raises(type(error)):
        run()
    assert run_state.word(path) == "unlogged"


@pytest.mark.parametrize(("said", "word"), [("", "failed"), (run_state.STAGES_DONE, "unlogged")])
def test_a_killed_run_is_marked_by_the_next(path: Path, said: str, word: str) -> None:
    code = (
        "import sys, pathlib, time; from pipelines.workspaces import run_state\n"
        "p = pathlib.Path(sys.argv[1])\n"
        "with run_state.running(p):\n"
        "    run_state.mark(p, 'running', sys.argv[2]); (p / 'at work').touch(); time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), said],
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
    )
    wait_for((path / "at work").exists, "it runs")
    run_state.sweep(path.parents[1])
    assert run_state.word(path) == "running"
    process.kill()
    process.wait()
    run_state.sweep(path.parents[1])
    assert (run_state.read(path).state, run_state.read(path).reason) == (word, run_state.KILLED)
    assert locks(path) == []


@pytest.mark.parametrize("end", ["complete", "deleted"])
def test_a_run_that_ends_while_the_next_looks_stays_as_it_ended(path, monkeypatch, end) -> None:
    run_state.mark(path, "running")
    seen = run_state.word

    def word(at: Path) -> str | None:
        found = seen(at)
        if found == "running":
            run_state.mark(at, "complete") if end == "complete" else shutil.rmtree(at)
        return found

    monkeypatch.setattr(run_state, "word", word)
    run_state.sweep(path.parents[1])
    assert not path.exists() if end == "deleted" else seen(path) == "complete"


@pytest.mark.parametrize("text", ["", '{"state": "runn'])
def test_a_state_that_a_power_failure_cut_off_is_that_of_a_killed_run(path: Path, text) -> None:
    (path / ".state").write_text(text)
    old = time.time() - run_state.NEW_S - 1
    os.utime(path / workspace.RECORD, (old, old))
    run_state.sweep(path.parents[1])
    assert (run_state.word(path), run_state.read(path).reason) == ("failed", run_state.KILLED)


def test_what_a_killed_creation_left_is_deleted_unless_one_is_under_way(path: Path) -> None:
    folder = path.parent
    for left in (".a.partial/stages", ".b.partial"):
        (folder / left).mkdir(parents=True)
    (folder / ".a.index.lock").touch()
    under_way = os.open(folder, os.O_RDONLY)
    fcntl.flock(under_way, fcntl.LOCK_SH)
    run_state.sweep(folder.parent)
    assert (folder / ".a.partial/stages").is_dir()
    os.close(under_way)
    run_state.sweep(folder.parent)
    assert {left.name for left in folder.iterdir()} == {path.name}
    assert run_state.word(path) is None  # its run may be about to lock it
    old = time.time() - run_state.NEW_S - 1
    os.utime(path / workspace.RECORD, (old, old))
    run_state.sweep(folder.parent)
    assert (run_state.word(path), run_state.read(path).reason) == ("failed", run_state.KILLED)
