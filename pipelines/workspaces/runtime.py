"""Decides where the stages of a run work, and checks that they find a GPU if they need one."""

import os
import subprocess
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipelines.errors import PipelineError

if TYPE_CHECKING:  # `doctor` imports this module also where pydantic is missing
    from pipelines.workspaces.overlays import Sections

NAME = "NER_RUNTIME"
DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))  # Linux; Linux in Windows


class Runtime(NamedTuple):
    """Where the stages work, and why there."""

    kind: Literal["image", "local"]
    reason: str

    def __str__(self) -> str:
        """`in the image (docker has it)`, for a sentence."""
        where = "in the image" if self.kind == "image" else "in this Python environment"
        return f"{where} ({self.reason})"


def choose(folder: Path) -> Runtime:
    """What docker/runtime of the project or workspace `folder` says.

    Raises:
        PipelineError: if NER_RUNTIME has another value than `image` and `local`.
    """
    script = folder / "docker" / "runtime"
    if not script.is_file():  # a commit from before it
        kind = os.environ.get(NAME, "image")
        return Runtime("local" if kind == "local" else "image", f"{NAME} is {kind}")
    done = subprocess.run([script], capture_output=True, text=True)
    if done.returncode:
        raise PipelineError(done.stderr.strip().removeprefix("docker/runtime: "))
    kind, _, reason = done.stdout.strip().partition(": ")
    return Runtime("image" if kind == "image" else "local", reason)


def fix(folder: Path) -> Callable[[], Runtime]:
    """Begins to choose once, for every stage that this process starts; returns what waits for it.

    A container engine takes a quarter of a second to answer.
    """
    chosen = ThreadPoolExecutor(1).submit(choose, folder)

    def fixed() -> Runtime:
        os.environ[NAME] = chosen.result().kind
        return chosen.result()

    return fixed


def require_device(
    params: "Sections",
    where: Callable[[], Runtime],
    would_run: Callable[[], Collection[str]] | None = None,
) -> None:
    """Checks, without torch, that the stages find the GPU that they need.

    Args:
        params: The whole params.yaml.
        where: Where the stages work; asked only if one of them needs a GPU.
        would_run: Asked only if a GPU is missing: the stages that matter; None means all.

    Raises:
        PipelineError: naming the parameters that need one, and what is missing.
    """
    sections = params.stages
    needs = {
        "train": ("train.device: cuda", sections.train.device == "cuda"),
        "evaluate": ("evaluate.device: cuda", sections.evaluate.device == "cuda"),
        "export": ("export.require_cuda: true", sections.export.require_cuda),
    }
    lacking = _lacking(where()) if any(need for _, need in needs.values()) else None
    if lacking is None:
        return
    names = would_run() if would_run else needs
    keys = [setting for name, (setting, need) in needs.items() if need and name in names]
    if keys:
        raise PipelineError(
            f"{lacking[0]}, and params.yaml has {', '.join(keys)}: {lacking[1]}, or merge an"
            " overlay for the CPU (--params samples/params.yaml shows one)"
        )


def has_gpu() -> bool:
    """Whether the kernel has NVIDIA's driver, in a container too."""
    return any(path.exists() for path in DRIVERS)


def _lacking(where: Runtime) -> tuple[str, str] | None:
    """What keeps a stage from a GPU, and the remedy."""
    if not has_gpu():
        return "This machine has no NVIDIA driver", "run on a machine with a GPU"
    if where.kind == "local" and "+cpu" in version("torch"):
        return "This environment has torch's CPU build", "delete .venv and run `make run` again"
    return None
