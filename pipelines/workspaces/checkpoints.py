"""Manages train's checkpoints, in one folder that all workspaces of a project share."""

import fcntl
import os
import shutil
from pathlib import Path

NAME = "NER_CHECKPOINTS"


def environment(workspace: Path) -> dict[str, str]:
    """The variable that tells a stage where checkpoints are, as the user set it if so."""
    root = Path(os.environ.get(NAME, workspace.parents[1] / ".checkpoints")).absolute()
    root.mkdir(parents=True, exist_ok=True)  # so that a container can mount it
    return {NAME: str(root)}


def prune(project: Path, keep: int, dry_run: bool) -> list[str]:
    """Deletes all checkpoints of `project` but the `keep` newest and those that a run is using.

    Returns:
        The names of the deleted folders; with `dry_run` of those that would be deleted.
    """
    folders = sorted((project / ".checkpoints").glob("*/"), key=_written, reverse=True)
    old = [folder for folder in folders[keep:] if not _in_use(folder)]
    if not dry_run:
        for folder in old:
            shutil.rmtree(folder)
    return [folder.name for folder in old]


def _written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in [folder, *folder.iterdir()])


def _in_use(folder: Path) -> bool:
    """Whether `stages.training.checkpoint` holds the lock in a living process."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
