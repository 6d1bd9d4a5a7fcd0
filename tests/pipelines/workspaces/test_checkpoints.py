"""Where train's checkpoints are, and which of them `gc` deletes."""

import fcntl
import os
from pathlib import Path

import pytest

from pipelines.dvc_repo import repro
from pipelines.workspaces import checkpoints, workspace
from tests.pipelines import standin


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Four, `a` the oldest."""
    for second, name in enumerate("abcd"):
        folder = tmp_path / ".checkpoints" / name
        folder.mkdir(parents=True)
        for path in (folder / "lock", folder / "00000001-x.pt", folder):
            path.touch()
            os.utime(path, (second, second))
    return tmp_path


def names(project: Path) -> list[str]:
    return sorted(path.name for path in (project / ".checkpoints").iterdir())


def test_the_newest_are_kept(kept: Path) -> None:
    assert checkpoints.prune(kept, 2, dry_run=True) == ["b", "a"]
    assert names(kept) == ["a", "b", "c", "d"]
    assert checkpoints.prune(kept, 2, dry_run=False) == ["b", "a"]
    assert names(kept) == ["c", "d"]
    assert checkpoints.prune(kept, 2, dry_run=False) == []


def test_one_that_a_run_uses_is_kept(kept: Path) -> None:
    with (kept / ".checkpoints/a/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(kept / ".checkpoints/a/lock", (0, 0))
        assert checkpoints.prune(kept, 2, dry_run=False) == ["b"]
    assert names(kept) == ["a", "c", "d"]


def test_where_there_are_none(tmp_path: Path) -> None:
    assert checkpoints.prune(tmp_path, 2, dry_run=False) == []


def test_stages_of_all_workspaces_are_told_the_same_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("NER_CHECKPOINTS", raising=False)
    project = standin.project(tmp_path / "project")
    stage = project / "stage.py"
    stage.write_text(
        "import os\nprint('told', os.environ['NER_CHECKPOINTS'])\n" + stage.read_text()
    )
    said: list[str] = []
    for _ in range(2):
        made = workspace.create(project, [], dirty=True)
        repro.repro(made.path, "download", said.append, force=True)
    told = {line for line in said if line.startswith("told ")}
    assert told == {f"told {project}/.checkpoints"}
    assert (project / ".checkpoints").is_dir()
    monkeypatch.setenv("NER_CHECKPOINTS", "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert checkpoints.environment(made.path) == {"NER_CHECKPOINTS": str(tmp_path / "elsewhere")}
