"""The aligned data that training reads."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self, overload

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

    In memory is what was read lately and nothing else needs.
    """

    input_ids: "Ragged"
    labels: "Ragged"
    labelled: NDArray[np.int32]
    """How many tokens of each window have a label."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Of the windows, in tokens."""
        return self.input_ids.lengths

    @classmethod
    def read(cls, path: Path, scratch: Path | None = None) -> Self:
        """Copies the windows of a Parquet file to temporary files in the folder `scratch`.

        Raises:
            StageError: there is no such file.
        """
        parts = _columns(path, labels=True)
        ids, lengths, ends, labels, labelled = _mapped(parts, scratch)
        return cls(Ragged(ids, lengths, ends), Ragged(labels, lengths, ends), labelled)


def read_ids(path: Path, scratch: Path | None = None) -> "Ragged":
    """Copies the token ids of a Parquet file to temporary files in the folder `scratch`."""
    return Ragged(*_mapped(_columns(path, labels=False), scratch))


def _columns(path: Path, labels: bool) -> Iterator[list[NDArray[Any]]]:
    """Yields, of some windows after the other, the arrays of `Ragged` and of `MappedWindows`."""
    end = 0
    for table in read_in_parts(path, ["input_ids", *(["labels"] if labels else [])]):
        ids, bounds = flat(table["input_ids"])
        columns = [ids, np.diff(bounds), end + bounds[1:].astype(np.int64)]
        end += len(ids)
        if labels:
            of_tokens, _ = flat(table["labels"])
            labelled = np.add.reduceat(of_tokens != IGNORED, bounds[:-1], dtype=np.int32)
            columns += [of_tokens, labelled]
        yield columns


def _mapped(parts: Iterator[Sequence[NDArray[Any]]], scratch: Path | None) -> list[NDArray[Any]]:
    """Joins arrays that come in parts, in temporary files that are mapped into memory."""
    first = next(parts)
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile(dir=scratch)) for _ in first]
        for part in chain([first], parts):
            for file, values in zip(files, part, strict=True):
                values.tofile(file)
        for file in files:
            file.flush()
        # As plain arrays: a slice of a memmap takes five times as long.
        return [
            np.memmap(file, values.dtype, mode="r").view(np.ndarray)
            for file, values in zip(files, first, strict=True)
        ]


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
    lengths: NDArray[np.int32]
    """Of each."""
    ends: NDArray[np.int64]
    """Where each ends in `values`."""

    def __len__(self) -> int:
        """The number of arrays."""
        return len(self.lengths)

    def array(self, index: int) -> NDArray[np.integer]:
        """One array."""
        end = self.ends[index]
        return self.values[end - self.lengths[index] : end]


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
    def lengths(self) -> NDArray[np.int32]:
        """Of the windows, in tokens."""
        return np.concatenate([part.lengths for part in self.parts])

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
