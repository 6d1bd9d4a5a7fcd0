"""The DVC of the next stage is there before its turn, and does nothing until then."""

import subprocess
import sys
from pathlib import Path

import psutil

from pipelines.dvc_repo import ahead, lockfile
from pipelines.dvc_repo import stages as dvc_stages
from tests.pipelines.dvc_repo.test_stages import ignore, make
from tests.pipelines.standin import clean_environment


def waiting() -> list[psutil.Process]:
    """The supervisors of processes of `ahead`."""
    children = psutil.Process().children()
    return [child for child in children if str(ahead.PROGRAM) in child.cmdline()]


def test_each_stage_waits_for_its_turn_and_the_last_one_ends_without_it(committed: Path) -> None:
    made = make(committed)
    with ahead.ahead(made, ["download", "align", "train"], ["align"]) as begin:
        for stage in ("download", "align"):
            assert dvc_stages.repro(made, stage, ignore, begin=begin) is True
            assert len(waiting()) == 1
        assert dvc_stages.repro(made, "align", ignore, begin=begin) is True  # it is forced
        assert dvc_stages.repro(made, "download", ignore, begin=begin) is False
        assert set(lockfile.stages(made / "dvc.lock")) == {"download", "align"}
    assert waiting() == []


def test_it_runs_nothing_if_who_started_it_is_gone(committed: Path, tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    turn.touch()
    command = [sys.executable, "-P", str(ahead.PROGRAM), str(turn), "repro", "download"]
    made = make(committed)
    done = subprocess.run(command, cwd=made, env=clean_environment(), capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert not (made / "dvc.lock").exists()
