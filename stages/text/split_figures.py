"""Counts what the windows of a split keep of its sentences."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from stages.text.tokens import CellEncoder
from stages.text.window_rows import label_numbers, window_rows

UNKNOWN_NAMED = 10


class SplitFigures:
    """Makes the windows of a split, and counts what they keep of its sentences."""

    def __init__(self, labels: Labels, encode: CellEncoder) -> None:
        """Takes what makes windows of sentences."""
        self._labels = labels
        self._encode = encode
        self._given, self._kept = (np.zeros(len(labels.tags), np.int64) for _ in range(2))
        self._unknown: Counter[str] = Counter()
        self._sentences = self._windows = self._windowed = self._longest_tokens = 0

    def rows(
        self, batches: Iterable[pa.RecordBatch], done: Callable[[int], Any]
    ) -> Iterator[pa.Table]:
        """Yields the windows of each batch of sentences, see `window_rows`.

        `done` is called with the number of sentences of each batch.

        Raises:
            StageError: the windows lack a tag of the corpus, or change their order.
        """
        for batch in batches:
            yield self._counted(batch)
            done(len(batch))

    def figures(self) -> dict[str, Any]:
        """The counts, by their keys in reports/align.json."""
        cells = int(self._kept.sum())
        entities = self._entities(self._kept)
        most = sorted(self._unknown.items(), key=lambda item: (-item[1], item[0]))
        return {
            "sentences": self._sentences,
            self._labels.cells: cells,
            "entities_in": self._entities(self._given).total(),
            "entities_kept": entities.total(),
            "entities": dict(sorted(entities.items())),
            "unknown_rate": self._unknown.total() / cells,
            "unknown_most": [[cell, count] for cell, count in most[:UNKNOWN_NAMED]],
            "windows": self._windows,
            "windowed_sentences": self._windowed,
            "longest_tokens": self._longest_tokens,
        }

    def _counted(self, batch: pa.RecordBatch) -> pa.Table:
        rows, encoded = window_rows(batch, self._sentences, self._labels, self._encode)
        self._count_tags(batch, rows)
        self._sentences += len(batch)
        self._windows += len(rows)
        windows = np.unique(np.from_dlpack(rows["sentence"].chunk(0)), return_counts=True)[1]
        self._windowed += int((windows > 1).sum())
        ends = np.cumsum(np.from_dlpack(batch["cells"].value_lengths()))
        tokens = np.diff(encoded.first[ends], prepend=0)
        self._longest_tokens = max(self._longest_tokens, int(tokens.max()))
        times = np.bincount(encoded.number, minlength=len(encoded.unknown)) * encoded.unknown
        for cell in np.flatnonzero(times).tolist():
            self._unknown[encoded.cells[cell].as_py()] += int(times[cell])
        return rows

    def _count_tags(self, batch: pa.RecordBatch, rows: pa.Table) -> None:
        """Counts each tag in the sentences and in their rows.

        Raises:
            StageError: the rows do not have the tags of the sentences.
        """
        given = label_numbers(batch["tags"].flatten(), self._labels)
        kept = np.from_dlpack(rows["labels"].chunk(0).flatten())
        kept = kept[kept != IGNORED]
        counts = [np.bincount(each, minlength=len(self._given)) for each in (given, kept)]
        if not np.array_equal(given, kept):
            before, after = (self._entities(each).total() for each in counts)
            raise StageError(
                f"alignment changed the tags: {before} entities in, {after} kept; please report"
                " this bug with the corpus"
            )
        self._given += counts[0]
        self._kept += counts[1]

    def _entities(self, counts: NDArray[np.int64]) -> Counter[str]:
        """How many entities of each type begin in so many of each label."""
        pairs = zip(self._labels.tags, counts.tolist(), strict=True)
        return Counter({tag[2:]: n for tag, n in pairs if n and tag.startswith("B-")})
