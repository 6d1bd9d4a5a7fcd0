"""The aligned data that training reads."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from stages.text.labels import IGNORED, Labels
from stages.text.windows_table import Aligned, flat, read_aligned, read_in_parts

TEXT = "text.parquet"


@dataclass(frozen=True)
class Data:
    """The training and dev splits, and the labels of both."""

    train: "MappedWindows"
    dev: Aligned
    labels: Labels
    text: "Ragged | None" = None
    """Token ids of the windows of plain text; None if there is none."""

    @classmethod
    def read(cls, aligned: Path, scratch: Path | None = None) -> Self:
        """Reads what `align` wrote; train and text stay on disk, see `MappedWindows`.

        Raises:
            StageError: a file is missing.
        """
        train = MappedWindows.read(aligned / "train.parquet", scratch)
        dev, labels = read_aligned(aligned / "dev.parquet"), Labels.read(aligned)
        text = aligned / TEXT
        return cls(train, dev, labels, read_ids(text, scratch) if text.is_file() else None)

    @property
    def unlabelled(self) -> "Unlabelled":
        """The windows of train and of the text, to learn their tokens."""
        return Unlabelled([self.train.input_ids, *([self.text] if self.text else [])])


@dataclass(frozen=True)
class MappedWindows:
    """Windows of a split in files that are mapped into memory.

    Sixteen bytes of each window are in memory; of the files, what was read lately and nothing else
    needs.
    """

    input_ids: "Ragged"
    labels: "Ragged"
    labelled: NDArray[np.int64]
    """How many tokens of each window have a label."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of the windows, in tokens."""
        return np.diff(self.input_ids.bounds)

    @classmethod
    def read(cls, path: Path, scratch: Path | None = None) -> Self:
        """Copies the windows of a Parquet file to temporary files in the folder `scratch`.

        Raises:
            StageError: there is no such file.
        """
        lengths, labelled = [np.zeros(1, np.int64)], [np.empty(0, np.int64)]
        with (
            tempfile.TemporaryFile(dir=scratch) as ids,
            tempfile.TemporaryFile(dir=scratch) as labels,
        ):
            for table in read_in_parts(path, ["input_ids", "labels"]):
                of_ids, bounds = flat(table["input_ids"])
                of_labels, _ = flat(table["labels"])
                of_ids.tofile(ids)
                of_labels.tofile(labels)
                lengths.append(np.diff(bounds))
                labelled.append(np.add.reduceat(of_labels != IGNORED, bounds[:-1], dtype=np.int64))
            ends = np.cumsum(np.concatenate(lengths))
            return cls(
                Ragged(_mapped(ids, of_ids.dtype), ends),
                Ragged(_mapped(labels, of_labels.dtype), ends),
                np.concatenate(labelled),
            )


def read_ids(path: Path, scratch: Path | None = None) -> "Ragged":
    """Copies the token ids of a Parquet file to a temporary file in the folder `scratch`."""
    lengths = [np.zeros(1, np.int64)]
    with tempfile.TemporaryFile(dir=scratch) as file:
        for table in read_in_parts(path, ["input_ids"]):
            ids, bounds = flat(table["input_ids"])
            ids.tofile(file)
            lengths.append(np.diff(bounds))
        return Ragged(_mapped(file, ids.dtype), np.cumsum(np.concatenate(lengths)))


def _mapped(file: IO[bytes], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The content of a file, which may be closed then."""
    file.flush()
    # As a plain array: a slice of a memmap takes five times as long.
    return np.memmap(file, dtype, mode="r").view(np.ndarray)


class Arrays(Sequence[NDArray[np.integer]], ABC):
    """Arrays of different lengths."""

    @overload
    def __getitem__(self, index: int) -> NDArray[np.integer]: ...

    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.integer]]: ...

    def __getitem__(self, index: int | slice) -> Any:
        """One array, or several."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.array(index)

    @abstractmethod
    def array(self, index: int) -> NDArray[np.integer]:
        """One array; `index` is within bounds."""


@dataclass(frozen=True)
class Ragged(Arrays):
    """Arrays of different lengths in one after the other."""

    values: NDArray[np.integer]
    """Of all of them."""
    bounds: NDArray[np.int64]
    """Where each begins in `values`, and the end of the last."""

    def __len__(self) -> int:
        """The number of arrays."""
        return len(self.bounds) - 1

    def array(self, index: int) -> NDArray[np.integer]:
        """One array."""
        return self.values[self.bounds[index] : self.bounds[index + 1]]


@dataclass(frozen=True)
class Unlabelled(Arrays):
    """The windows of several tables as one, whose tokens are their own labels."""

    parts: list[Ragged]

    @property
    def input_ids(self) -> Sequence[NDArray[np.integer]]:
        """Token ids of each window, with [CLS] and [SEP]."""
        return self

    @property
    def labels(self) -> Sequence[NDArray[np.integer]]:
        """The same."""
        return self

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of the windows, in tokens."""
        return np.concatenate([np.diff(part.bounds) for part in self.parts])

    def __len__(self) -> int:
        """The number of windows."""
        return sum(map(len, self.parts))

    def array(self, index: int) -> NDArray[np.integer]:
        """The token ids of one window."""
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)
