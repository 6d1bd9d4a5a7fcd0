"""The Parquet table of an aligned split, a row per window: its columns and its reader."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.contract.errors import StageError
from stages.text.labels import IGNORED

WINDOWS_AT_ONCE = 2**12  # 20 MB of Python objects; all of MSRA's test file


@dataclass(frozen=True)
class Aligned:
    """A split. Each list has one item per window; the windows of a sentence are neighbours."""

    sentence: list[int]
    """Number of the window's sentence: 0, 0, 1, 2, ..."""
    cells: list[list[str]]
    """The cells that the window scores, unnormalised: see `stages.text.cells`."""
    input_ids: list[NDArray[np.integer]]
    """Token ids with [CLS] and [SEP]; int32."""
    labels: list[NDArray[np.integer]]
    """Per token: the label of the scored cell that starts there, else -100; int8 or int16."""
    meta: list[str] | None = None
    """Metadata of the window's sentence, a JSON object; None if no sentence has any."""

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """The windows of a table with these columns; `meta` may be missing.

        The first sentence gets number 0.
        """
        return cls(
            sentence=pc.subtract(table["sentence"], table["sentence"][0]).to_pylist(),
            cells=_cells(table["cells"]),
            input_ids=_arrays(table["input_ids"]),
            labels=_arrays(table["labels"]),
            meta=table["meta"].to_pylist() if "meta" in table.column_names else None,
        )

    @cached_property
    def scored(self) -> list[NDArray[np.bool_]]:
        """Which tokens are the first of a scored cell."""
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
        """The metadata of each sentence: what the corpus has besides text and tags."""
        first = np.flatnonzero(np.diff(np.asarray(self.sentence), prepend=-1))
        return [json.loads(self.meta[window]) if self.meta else {} for window in first]

    def sentence_labels(self) -> list[NDArray[np.integer]]:
        """The gold labels of each whole sentence, one per cell."""
        parts: list[list[NDArray[np.integer]]] = []
        for number, labels in zip(self.sentence, self.labels, strict=True):
            if number == len(parts):
                parts.append([])
            parts[-1].append(labels[labels != IGNORED])
        return [np.concatenate(part) for part in parts]


def read_aligned(path: Path) -> Aligned:
    """Reads one split.

    Raises:
        StageError: there is no such file.
    """
    with _opened(path) as file:
        return Aligned.of(file.read())


def read_sentences(path: Path) -> Iterator[Aligned]:
    """Yields some whole sentences of a split after the other, each part numbered from 0.

    Raises:
        StageError: there is no such file.
    """
    rest: list[pa.Table] = []
    for table in read_in_parts(path):
        table = pa.concat_tables([*rest, table]).combine_chunks()
        number: NDArray[Any] = np.from_dlpack(table["sentence"].chunk(0))
        whole = int(np.searchsorted(number, number[-1]))  # the last may go on in the next part
        if whole:
            yield Aligned.of(table.slice(0, whole))
        rest = [table.slice(whole)]
    for table in rest:
        yield Aligned.of(table)


def read_in_parts(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yields all or some columns of some windows of a split after the other.

    Raises:
        StageError: there is no such file.
    """
    names = None if columns is None else [*columns]
    with _opened(path) as file:
        for group in range(file.num_row_groups):  # of all at once, buffers of each are kept
            # Threads would keep buffers of their own: 30 MB.
            batches = file.iter_batches(WINDOWS_AT_ONCE, [group], names, use_threads=False)
            for batch in batches:
                yield pa.Table.from_batches([batch])


def count_windows(path: Path) -> int:
    """The number of windows of a split.

    Raises:
        StageError: there is no such file.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def flat(column: pa.ChunkedArray) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The values of all lists, and where each list begins in them; and the end of the last."""
    joined = column.combine_chunks()
    values: NDArray[Any] = np.from_dlpack(joined.flatten())
    offsets: NDArray[Any] = np.from_dlpack(joined.offsets)
    return values, offsets - offsets[0]


def _opened(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise StageError(f"{path} is not here: run `dvc repro align` first")
    # Neither read_table nor pa.table nor to_numpy, which import pandas: 0.4 s and 40 MB.
    return pq.ParquetFile(path)


def _cells(column: pa.ChunkedArray) -> list[list[str]]:
    """The lists, whose equal strings are one object: of to_pylist(), each takes 80 bytes."""
    joined = column.combine_chunks()
    values = joined.flatten().dictionary_encode()
    names = np.array(values.dictionary.to_pylist(), dtype=np.object_)
    cells = names[np.from_dlpack(values.indices)].tolist()
    ends = np.from_dlpack(joined.offsets)
    return [cells[start:stop] for start, stop in pairwise((ends - ends[0]).tolist())]


def _arrays(column: pa.ChunkedArray) -> list[NDArray[np.integer]]:
    values, offsets = flat(column)
    return np.split(values, offsets[1:-1])
