"""Describes a run's environment: packages, image and GPU."""

import json
import os
import platform
import uuid
from contextlib import suppress
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pynvml

from pipelines.workspaces.workspace import Workspace

CHECKOUT = "checkout"  # a tag of a run


def checkout(project: Path) -> str:
    """Names the project folder on its machine: a container's host name changes, two may share one.

    Made once, in .runs/checkout; a copy of the folder gets a name of its own.
    """
    path, place = project / ".runs" / "checkout", str(project.resolve())
    with suppress(OSError, ValueError):
        name, _, of = path.read_text(encoding="utf-8").strip().partition(" ")
        if of == place:
            return name
    name = uuid.uuid4().hex
    path.write_text(f"{name} {place}\n", encoding="utf-8")
    return name


@cache
def packages() -> str:
    """Every installed package with its version, one per line, as `pip freeze` prints them."""
    names = {f"{package.metadata['Name']}=={package.version}" for package in distributions()}
    return "".join(f"{line}\n" for line in sorted(names, key=str.lower))


def tags(made: Workspace) -> dict[str, str]:
    """The tags of a run: its commit, host and workspace, and its image and GPU if it had any."""
    values = {
        "commit": made.commit or "none",
        "mlflow.source.git.commit": made.commit or "none",
        "dirty": str(bool(made.dirty_diff)).lower(),
        "params_sha256": made.params_sha256,
        "prefect_run_id": made.prefect_run_id or "none",
        "prefect_url": made.prefect_url,
        "host": platform.node(),
        "workspace": made.run_id,
        "image": image(made.path),
        **gpu(),
    }
    return {key: value for key, value in values.items() if value}


def image(workspace: Path) -> str | None:
    """The id of the stages' image, as docker/run passed it; this process may run elsewhere."""
    files = sorted((workspace / ".measured").glob("*.json"))
    found = {json.loads(file.read_text(encoding="utf-8")).get("image") for file in files}
    return ", ".join(sorted(filter(None, found))) or os.environ.get("NER_IMAGE")


def gpu() -> dict[str, str]:
    """`gpu` and `gpu_driver`; empty without a GPU."""
    found = {}
    with suppress(pynvml.NVMLError):  # no driver: no GPU
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        found["gpu"] = ", ".join(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
        found["gpu_driver"] = str(pynvml.nvmlSystemGetDriverVersion())
        pynvml.nvmlShutdown()
    return found
