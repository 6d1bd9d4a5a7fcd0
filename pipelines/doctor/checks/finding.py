"""The input and the result of a check."""

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

Cuda = Literal["needed", "welcome", "unused"]


class Level(IntEnum):
    """How bad a finding is; the worst one is the command's exit code."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """A line of the output.

    Attributes:
        check: What was checked.
        level: How bad it is.
        message: What was found.
        remedy: What to do about it; empty if nothing.
    """

    check: str
    level: Level
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Requirements:
    """What params.yaml requires of the machine.

    Attributes:
        cuda: If a GPU is needed, used when present, or not used.
        free_disk_gb: The least that a run needs, in 10^9 bytes.
    """

    cuda: Cuda = "welcome"
    free_disk_gb: float = 0.0

    def without_cuda(self, check: str, message: str, remedy: str) -> Finding:
        """The finding that CUDA cannot be used; its level depends on `cuda`."""
        if self.cuda == "unused":
            return Finding(check, Level.OK, f"{message}, and params.yaml needs no GPU")
        if self.cuda == "welcome":
            return Finding(check, Level.WARNING, f"{message}, so the CPU is used", remedy)
        return Finding(check, Level.ERROR, f"{message}, and params.yaml needs CUDA", remedy)


def in_container() -> bool:
    """True in a container, which has only the packages of the stages."""
    files = ("/.dockerenv", "/run/.containerenv")
    return bool(os.environ.get("NER_IMAGE")) or any(Path(file).exists() for file in files)
