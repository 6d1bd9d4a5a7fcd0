"""The Parquet files that `align` writes: a row a window."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.errors import StageError
from stages.ner.labels import IGNORED


@dataclass(frozen=True)
class Aligned:
    """A split. Every list has an item a window; windows of a sentence stand together."""

    sentence: list[int]
    """Number of the window's sentence: 0, 0, 1, 2, ..."""
    cells: list[list[str]]
    """The characters that the window owns, as the corpus has them."""
    input_ids: list[NDArray[np.integer]]
    """Token ids with [CLS] and [SEP]."""
    labels: list[NDArray[np.integer]]
    """Of each token: the label of the owned cell that starts there, else -100."""

    @cached_property
    def scored(self) -> list[NDArray[np.bool_]]:
        """Which tokens stand for an owned cell."""
        return [labels != IGNORED for labels in self.labels]

    def sentence_cells(self) -> list[list[str]]:
        """The characters of each whole sentence."""
        result: list[list[str]] = []
        for number, cells in zip(self.sentence, self.cells, strict=True):
            if number == len(result):
                result.append([])
            result[-1] += cells
        return result

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
    )


def _arrays(column: "pq.ChunkedArray") -> list[NDArray[np.integer]]:
    joined = column.combine_chunks()
    return np.split(joined.flatten().to_numpy(), joined.offsets.to_numpy()[1:-1])
