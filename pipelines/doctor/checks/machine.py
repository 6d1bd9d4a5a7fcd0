"""Checks free disk space, shared memory and the image."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.checks.finding import Finding, Level, Requirements
from pipelines.errors import PipelineError
from pipelines.workspaces import disk, places, runtime

SHM = Path("/dev/shm")  # noqa: S108 - only its size is read
SHM_FLOOR_GB = 0.5  # Docker's default of 64 MB is too little for the processes of several GPUs


def check(required: Requirements) -> Iterator[Finding]:
    """Yields a finding each for project folder, disk, shared memory and image."""
    yield _project(Path.cwd())
    yield _disk(Path.cwd(), required.free_disk_gb)
    if SHM.is_dir():
        yield _shm(shutil.disk_usage(SHM).total / 1e9)
    yield _image(os.environ.get("NER_IMAGE"))


def _project(folder: Path) -> Finding:
    here = places.MLFLOW if not os.environ.get("MLFLOW_TRACKING_URI") else {}
    level = Level.ERROR
    try:
        places.require(folder, places.DVC | here)
        level = Level.WARNING
        places.require_writable(folder)
    except PipelineError as error:
        message, _, remedy = str(error).partition(": ")
        return Finding("project", level, message, remedy)
    return Finding("project", Level.OK, f"{folder} can be written to")


def _disk(project: Path, floor_gb: float) -> Finding:
    try:
        disk.require(project, floor_gb)
    except PipelineError as error:
        message, _, remedy = str(error).partition(": ")
        return Finding("disk", Level.ERROR, message, remedy)
    free_gb = shutil.disk_usage(project).free / 1e9
    return Finding("disk", Level.OK, f"{free_gb:.1f} GB free, a run needs {floor_gb:g} GB or more")


def _shm(total_gb: float) -> Finding:
    message = f"{total_gb:.2f} GB"
    if total_gb < SHM_FLOOR_GB:
        remedy = "start the container with --shm-size 1g"
        return Finding(str(SHM), Level.WARNING, f"{message} is too little", remedy)
    return Finding(str(SHM), Level.OK, message)


def _image(digest: str | None) -> Finding:
    if digest:
        return Finding("image", Level.OK, digest)
    try:
        chosen = runtime.choose(Path.cwd())
    except PipelineError as error:
        message, _, remedy = str(error).partition(": ")
        return Finding("image", Level.ERROR, message, remedy)
    return Finding("image", Level.OK, f"stages run {chosen}")
