"""Train's checkpoints: one folder of the project that all its workspaces share."""

import fcntl
import os
import shutil
from pathlib import Path

NAME = "NER_CHECKPOINTS"


def environment(workspace: Path) -> dict[str, str]:
    """Tells a stage of that workspace where checkpoints are; what the user has set stays."""
    root = Path(os.environ.get(NAME, workspace.parents[1] / ".checkpoints")).absolute()
    root.mkdir(parents=True, exist_ok=True)  # so that a container can mount it
    return {NAME: str(root)}


def prune(project: Path, keep: int, dry_run: bool) -> list[str]:
    """Deletes all but the `keep` newest below `project` and those that a run is using.

    Returns:
        The names of what was deleted, or would be.
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
    """Whether `stages.training.checkpoint` of a living process holds the lock."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
