"""Groups items of similar length into batches, sized in tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def batches_by_length(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Indices of `lengths` in batches, longest first; `tokens_per_batch` includes padding.

    An item longer than `tokens_per_batch` is a batch by itself.
    """
    batches: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or longest * (len(batches[-1]) + 1) > tokens_per_batch:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    return batches


def padded(rows: Sequence[NDArray[np.integer]], fill: int) -> NDArray[np.int64]:
    """Rows of different lengths as one array [rows, longest], padded with `fill`."""
    result = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for target, row in zip(result, rows, strict=True):
        target[: len(row)] = row
    return result
