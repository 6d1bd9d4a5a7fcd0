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
            f"{free / 1e9:.1f} GB are free in {project} and a run needs {needed / 1e9:.1f} GB: make"
            " room (`python -m pipelines gc`), or lower run.free_disk_gb in params.yaml"
        )


def size_bytes(folder: Path | None) -> int:
    """The disk usage of `folder`, hard links counted once; 0 for None."""
    files = (path.lstat() for path in (folder.rglob("*") if folder else ()))
    return sum({stat.st_ino: stat.st_blocks * 512 for stat in files}.values())
