"""Room on disk and in shared memory, and the image."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.checks.finding import Asked, Finding, Level, in_container
from pipelines.errors import PipelineError
from pipelines.workspaces import disk

SHM = Path("/dev/shm")  # noqa: S108 - it is asked for its size alone
SHM_FLOOR_GB = 0.5  # Docker's own 64 MB are too few for several GPUs, whose processes meet there


def check(asked: Asked) -> Iterator[Finding]:
    """Disk, shared memory and image, a finding each."""
    yield _disk(Path.cwd(), asked.free_disk_gb)
    if SHM.is_dir():
        yield _shm(shutil.disk_usage(SHM).total / 1e9)
    yield _image(os.environ.get("NER_IMAGE"))


def _disk(project: Path, floor_gb: float) -> Finding:
    try:
        disk.require(project, floor_gb)
    except PipelineError as error:
        said, _, do = str(error).partition(": ")
        return Finding("disk", Level.ERROR, said, do)
    free_gb = shutil.disk_usage(project).free / 1e9
    return Finding("disk", Level.OK, f"{free_gb:.1f} GB free, a run needs {floor_gb:g} GB or more")


def _shm(total_gb: float) -> Finding:
    said = f"{total_gb:.2f} GB"
    if total_gb < SHM_FLOOR_GB:
        do = "start the container with --shm-size 1g"
        return Finding(str(SHM), Level.WARNING, f"{said} are few", do)
    return Finding(str(SHM), Level.OK, said)


def _image(digest: str | None) -> Finding:
    if digest:
        return Finding("image", Level.OK, digest)
    where = "a container without NER_IMAGE, which docker/run sets" if in_container() else "none"
    return Finding("image", Level.OK, f"{where}: stages that run here record no image")
