"""Counts how often train has the entities of other sentences."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.model.decode import spans
from stages.scoring.mistakes import Judged
from stages.text.windows_table import read_sentences

Name = tuple[str, str]
"""The text of an entity and its type."""


class InTrain(Protocol):
    """How many entities train has of each name."""

    def get(self, name: Name, default: int, /) -> int:
        """The number of those of `name`; `default` if `name` was not counted."""


class NameCounts:
    """Counts some names, in 16 bytes each: those of a large test split are millions."""

    def __init__(self, wanted: Iterable[Name]) -> None:
        """Starts at 0 for each name of `wanted`."""
        keys = np.sort(_keys(wanted))
        first = np.ones(len(keys), np.bool_)  # not unique(), which takes 50 bytes of each
        first[1:] = keys[1:] != keys[:-1]
        self._keys = keys[first]
        self._counts = np.zeros(len(self._keys), np.int64)

    def add(self, names: Iterable[Name]) -> None:
        """Counts those of `names` that are wanted."""
        keys = _keys(names)
        at = np.searchsorted(self._keys, keys)
        known = at < len(self._keys)
        known[known] = self._keys[at[known]] == keys[known]
        self._counts += np.bincount(at[known], minlength=len(self._counts))

    def get(self, name: Name, default: int, /) -> int:
        """How often `name` was added; `default` if it was not wanted."""
        key = _key(name)
        at = int(np.searchsorted(self._keys, key))
        return int(self._counts[at]) if at < len(self._keys) and self._keys[at] == key else default


def count_in_train(path: Path, tags: Sequence[str], judged: Iterable[Judged]) -> NameCounts:
    """How often each entity of `judged`, gold or predicted, is one in the split at `path`.

    Args:
        path: The Parquet file of the split.
        tags: The tag of each label.
        judged: The sentences whose entities are counted, by text and type.
    """
    found = NameCounts((s.text(span), span.type) for s in judged for span in s.confidence)
    for split in read_sentences(path):
        of_split = (
            Judged(cells, spans([tags[label] for label in labels]), (), {})
            for cells, labels in zip(split.sentence_cells(), split.sentence_labels(), strict=True)
        )
        found.add((s.text(span), span.type) for s in of_split for span in s.gold)
        del split, of_split  # else two parts would be in memory at once
    return found


def _keys(names: Iterable[Name]) -> NDArray[np.uint64]:
    return np.fromiter(map(_key, names), np.uint64)


def _key(name: Name) -> np.uint64:
    """A hash, the same in every process."""
    digest = hashlib.blake2b("\n".join(name).encode("utf-8", "surrogatepass"), digest_size=8)
    return np.uint64(int.from_bytes(digest.digest(), "little"))
