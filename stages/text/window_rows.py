"""Makes the rows of the Parquet table, a window each, of a batch of sentences at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.text.labels import IGNORED, Labels
from stages.text.sentence import Sentence, as_batch
from stages.text.tokens import CellEncoder
from stages.text.windows import windows

INT8_LABELS = 128


@dataclass(frozen=True)
class Encoded:
    """The tokens of the cells of some sentences."""

    cells: pa.StringArray
    """The different cells."""
    number: NDArray[np.integer]
    """Of each cell, which of these it is."""
    unknown: NDArray[np.bool_]
    """Which of the different cells have [UNK] among their tokens."""
    ids: NDArray[np.int32]
    """The tokens of all cells."""
    first: NDArray[np.int64]
    """Of each cell, the index of its first token in `ids`; and the length of `ids`."""

    @classmethod
    def of(cls, cells: pa.StringArray, encode: CellEncoder, unknown_id: int) -> "Encoded":
        """Encodes each different cell once."""
        column = cells.dictionary_encode()
        different, starts = encode(column.dictionary.to_pylist())
        of_token, start = np.array(different, np.int32), np.array(starts)
        count = np.diff(start, append=len(of_token))
        number: NDArray[Any] = np.from_dlpack(column.indices)
        first = np.concatenate([[0], np.cumsum(count[number])])
        moved = np.repeat(start[number] - first[:-1], count[number])
        unknown = np.add.reduceat(of_token == unknown_id, start) > 0
        ids = of_token[moved + np.arange(first[-1])]
        return cls(column.dictionary, number, unknown, ids, first)


def window_rows(
    batch: pa.RecordBatch, start: int, labels: Labels, encode: CellEncoder
) -> tuple[pa.Table, Encoded]:
    """One row per window, in the columns of `Aligned`; the first sentence gets number `start`."""
    cells, tags = (batch[name].flatten() for name in ("cells", "tags"))
    encoded = Encoded.of(cells, encode, labels.unknown_id)
    ends = np.concatenate([[0], np.cumsum(np.from_dlpack(batch["cells"].value_lengths()))])
    sentence, begin, stop, own_start, own_stop = _windows(encoded.first[ends], labels).T
    of_token = np.full(len(encoded.ids), IGNORED, label_type(labels))
    of_token[encoded.first[:-1]] = label_numbers(tags, labels)
    # Where each token of the rows comes from; at [CLS] and [SEP] it does not matter.
    length = stop - begin + 2
    rows = np.concatenate([[0], np.cumsum(length)])
    source = np.repeat(begin - 1 - rows[:-1], length) + np.arange(rows[-1])
    cls, sep = rows[:-1], rows[1:] - 1
    source[cls] = source[sep] = 0
    ids, of_row = encoded.ids[source], of_token[source]
    ids[cls], ids[sep] = labels.cls_id, labels.sep_id
    owned = (np.repeat(own_start, length) <= source) & (source < np.repeat(own_stop, length))
    owned[cls] = owned[sep] = False
    of_row[~owned] = IGNORED
    of_window = np.append(np.searchsorted(encoded.first[:-1], own_start), len(cells))
    columns = {
        "sentence": pa.array((start + sentence).astype(np.int32)),
        "cells": _lists(of_window, cells),
        "input_ids": _lists(rows, pa.array(ids)),
        "labels": _lists(rows, pa.array(of_row)),
        "meta": batch["meta"].fill_null("{}").take(pa.array(sentence)),
    }
    return pa.table(columns), encoded


def rows_of(sentences: Sequence[Sentence], labels: Labels, encode: CellEncoder) -> pa.Table:
    """The rows of these sentences, which are numbered from 0."""
    return window_rows(as_batch(sentences), 0, labels, encode)[0]


def label_numbers(tags: pa.StringArray, labels: Labels) -> NDArray[np.integer]:
    """The label of each tag."""
    column = tags.dictionary_encode()
    numbers = [labels.tags.index(tag) for tag in column.dictionary.to_pylist()]
    result: NDArray[Any] = np.array(numbers, label_type(labels))[np.from_dlpack(column.indices)]
    return result


def label_type(labels: Labels) -> type[np.integer]:
    """The smallest type of so many labels; -100 is in each."""
    return np.int8 if len(labels.tags) <= INT8_LABELS else np.int16


def _windows(ends: NDArray[np.int64], labels: Labels) -> NDArray[np.int64]:
    """The windows of sentences whose tokens end at `ends`, of which the first is 0.

    Returns:
        A row each: the sentence, the tokens `start:stop`, and those that it scores.
    """
    size, overlap = labels.window_tokens - 2, labels.window_overlap_tokens
    starts, stops = ends[:-1], ends[1:]
    result = np.column_stack([np.arange(len(starts)), starts, stops, starts, stops])
    long = np.flatnonzero(stops - starts > size)
    if not len(long):
        return result
    some = [
        (number, windows(int(stops[number] - starts[number]), size, overlap)) for number in long
    ]
    of_long = [
        [number, *(starts[number] + [w.start, w.stop, w.own_start, w.own_stop])]
        for number, found in some
        for w in found
    ]
    result = np.concatenate([np.delete(result, long, axis=0), of_long])
    return result[np.argsort(result[:, 0], kind="stable")]


def _lists(bounds: NDArray[np.int64], values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), values)
