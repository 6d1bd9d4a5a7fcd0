"""The Parquet files that `align` writes: a row a window."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.contract.errors import StageError
from stages.text.labels import IGNORED


@dataclass(frozen=True)
class Aligned:
    """A split. Every list has an item a window; windows of a sentence stand together."""

    sentence: list[int]
    """Number of the window's sentence: 0, 0, 1, 2, ..."""
    cells: list[list[str]]
    """The cells that the window owns, as the corpus has them: see `stages.text.cells`."""
    input_ids: list[NDArray[np.integer]]
    """Token ids with [CLS] and [SEP]."""
    labels: list[NDArray[np.integer]]
    """Of each token: the label of the owned cell that starts there, else -100."""
    meta: list[str] | None = None
    """What else the corpus says of the window's sentence, a JSON object; None: nothing of any."""

    @cached_property
    def scored(self) -> list[NDArray[np.bool_]]:
        """Which tokens stand for an owned cell."""
        return [labels != IGNORED for labels in self.labels]

    def sentence_cells(self) -> list[list[str]]:
        """The cells of each whole sentence."""
        result: list[list[str]] = []
        for number, cells in zip(self.sentence, self.cells, strict=True):
            if number == len(result):
                result.append([])
            result[-1] += cells
        return result

    def sentence_meta(self) -> list[dict[str, str | int | float | bool]]:
        """What else the corpus says of each sentence: the keys that it has beside text and tags."""
        first = np.flatnonzero(np.diff(np.asarray(self.sentence), prepend=-1))
        return [json.loads(self.meta[window]) if self.meta else {} for window in first]

    def sentence_labels(self) -> list[NDArray[np.integer]]:
        """The gold labels of each whole sentence, one a cell."""
        parts: list[list[NDArray[np.integer]]] = []
        for number, labels in zip(self.sentence, self.labels, strict=True):
            if number == len(parts):
                parts.append([])
            parts[-1].append(labels[labels != IGNORED])
        return [np.concatenate(part) for part in parts]


def read_aligned(path: Path) -> Aligned:
    """Reads one split.

    Raises:
        StageError: if `align` has not written it.
    """
    if not path.is_file():
        raise StageError(f"{path} is not here: run `dvc repro align` first")
    table = pq.read_table(path)
    return Aligned(
        sentence=table["sentence"].to_pylist(),
        cells=table["cells"].to_pylist(),
        input_ids=_arrays(table["input_ids"]),
        labels=_arrays(table["labels"]),
        meta=table["meta"].to_pylist() if "meta" in table.column_names else None,
    )


def _arrays(column: "pq.ChunkedArray") -> list[NDArray[np.integer]]:
    joined = column.combine_chunks()
    return np.split(joined.flatten().to_numpy(), joined.offsets.to_numpy()[1:-1])
