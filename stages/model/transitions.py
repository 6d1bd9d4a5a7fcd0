"""Holds the transitions of a CRF head, and reads and writes transitions.json.

The CRF is own code: pytorch-crf had its last release in 2019 and takes one sentence a row, and
torch has none.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..contract.errors import StageError
from ..text.labels import follows

NAME = "transitions.json"


@dataclass(frozen=True)
class Transitions:
    """The learnt scores, in nats; -inf where IOB2 forbids the label."""

    start: NDArray[np.float32]
    """[labels]: of a sentence's first label."""
    scores: NDArray[np.float32]
    """[labels, labels]: of a column's label right after a row's."""

    def write(self, folder: Path, tags: Sequence[str]) -> None:
        """Writes `folder`/transitions.json: score by tag, and by tag and the tag after it."""
        rows = [_named(row, tags) for row in (self.start, *self.scores)]
        values = {"start": rows[0], "after": dict(zip(tags, rows[1:], strict=True))}
        text = json.dumps(values, indent=1, ensure_ascii=False)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, tags: Sequence[str]) -> "Transitions | None":
        """Reads `folder`/transitions.json; None without that file: the head is linear.

        Raises:
            StageError: the file has other tags.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        if list(values["after"]) != list(tags):
            raise StageError(f"{path} and labels.json have different tags: take both from one run")
        rows = [values["start"], *values["after"].values()]
        table = np.array([[row.get(tag, -np.inf) for tag in tags] for row in rows], np.float32)
        return cls(table[0], table[1:])


def allowed(tags: Sequence[str]) -> NDArray[np.bool_]:
    """[labels, labels]: whether a column's label may follow a row's. A start is like after O."""
    return np.array([[follows(tag, before) for tag in tags] for before in tags])


def _named(row: NDArray[np.float32], tags: Sequence[str]) -> dict[str, float]:
    # By str, or 0.1 would be written as 0.10000000149011612.
    return {tag: float(str(v)) for tag, v in zip(tags, row, strict=True) if np.isfinite(v)}
