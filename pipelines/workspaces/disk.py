"""Checks that the disk has room for a run."""

import shutil
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.workspaces import run_state, workspace


def require(project: Path, floor_gb: float) -> None:
    """Checks that a run as large as the last complete training fits, and at least `floor_gb`.

    Raises:
        PipelineError: if less is free on the disk of the workspaces.
    """
    complete = (
        path
        for path in workspace.all_of(project)
        if run_state.word(path) == "complete" and workspace.purpose(path) == "training"
    )
    needed = max(floor_gb * 1e9, size_bytes(next(complete, None)))
    free = shutil.disk_usage(project).free
    if free < needed:
        raise PipelineError(
            f"{_size(free)} are free in {project} and a run needs {_size(needed)}: make room"
            " (`python -m pipelines gc`), or lower run.free_disk_gb in params.yaml"
        )


def full(project: Path) -> PipelineError:
    """What to tell when a file of the project could not be written for want of room."""
    free = _size(shutil.disk_usage(project).free)
    return PipelineError(
        f"The disk of {project.resolve()} is full ({free} free): make room (`python -m pipelines"
        " gc`) and run again; finished stages are cached"
    )


def _size(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.1f} MB"


def size_bytes(folder: Path | None) -> int:
    """The disk usage of `folder`, hard links counted once; 0 for None."""
    files = (path.lstat() for path in (folder.rglob("*") if folder else ()))
    return sum({stat.st_ino: stat.st_blocks * 512 for stat in files}.values())
