"""What a check is told and what it answers."""

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

Cuda = Literal["needed", "welcome", "unused"]


class Level(IntEnum):
    """How bad it is; the worst is the command's exit code."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """A line of the answer.

    Attributes:
        check: What was looked at.
        level: How bad it is.
        said: What was found.
        do: What to do about it; empty where nothing is to be done.
    """

    check: str
    level: Level
    said: str
    do: str = ""


@dataclass(frozen=True)
class Asked:
    """What params.yaml asks of the machine.

    Attributes:
        cuda: Whether a GPU must be there, may be, or would not be used.
        free_disk_gb: What a run needs at least, in 10^9 bytes.
    """

    cuda: Cuda = "welcome"
    free_disk_gb: float = 0.0

    def without_cuda(self, check: str, said: str, do: str) -> Finding:
        """The finding that CUDA cannot be used: as bad as it is asked for."""
        if self.cuda == "unused":
            return Finding(check, Level.OK, f"{said}, and params.yaml asks for no GPU")
        if self.cuda == "welcome":
            return Finding(check, Level.WARNING, f"{said}, so the CPU is used", do)
        return Finding(check, Level.ERROR, f"{said}, and params.yaml asks for cuda", do)


def in_container() -> bool:
    """Whether this runs in a container, which has the packages of the stages alone."""
    files = ("/.dockerenv", "/run/.containerenv")
    return bool(os.environ.get("NER_IMAGE")) or any(Path(file).exists() for file in files)
