"""Plans the steps of a training: which windows share a row, which rows a step."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from typing import overload

import numpy as np
from numpy.typing import NDArray

POOL_ROWS = 4096  # windows are sorted within this many rows: they pack well, in random order

Rows = list[list[int]]
"""Each lists windows by their index."""


class Plan(Sequence[Rows]):
    """All steps of all epochs; an epoch is planned when one of its steps is asked for.

    Every step has the same number of rows, so that one compiled graph serves all; the last rows are
    empty where an epoch ends. The number of steps is known at once, since the schedule needs it.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.integer],
        epochs: int,
        tokens_per_step: int,
        row_tokens: int,
        seed: int,
    ) -> None:
        """Counts the rows of each epoch.

        Args:
            lengths: of the windows, in tokens.
            epochs: how many.
            tokens_per_step: over all rows, padding included.
            row_tokens: at least the length of the longest window.
            seed: decides the order.
        """
        rng = np.random.default_rng(seed)
        self._lengths, self._row_tokens = np.asarray(lengths), row_tokens
        self._rows_per_step = max(1, tokens_per_step // row_tokens)
        self._states, counts = [], [0]
        for _ in range(epochs):
            self._states.append(rng.bit_generator.state)
            rows = _count_rows(self._lengths, row_tokens, rng)
            # Split evenly, or the last step of an epoch could be a single row.
            counts.append(-(-rows // self._rows_per_step))
        self._ends = [*accumulate(counts)]
        # Two, since a thread makes the batches of the next step.
        self._epoch = lru_cache(2)(self._planned)

    def __len__(self) -> int:
        """The number of steps."""
        return self._ends[-1]

    @overload
    def __getitem__(self, step: int) -> Rows: ...

    @overload
    def __getitem__(self, step: slice) -> list[Rows]: ...

    def __getitem__(self, step: int | slice) -> Rows | list[Rows]:
        """The rows of a step, or of several."""
        if isinstance(step, slice):
            return [self[each] for each in range(*step.indices(len(self)))]
        if not 0 <= step < len(self):
            raise IndexError(step)
        epoch, first, last = self._at(step)
        rows = [epoch.row(row).tolist() for row in range(first, last)]
        return [*rows, *([[]] * (self._rows_per_step - len(rows)))]

    def windows(self, step: int) -> NDArray[np.int32]:
        """All windows of a step."""
        epoch, first, last = self._at(step)
        return np.concatenate([epoch.row(row) for row in range(first, last)])

    def epochs(self, start: int, stop: int) -> tuple[int, list[int]]:
        """How many whole epochs the steps `start:stop` contain, and the steps besides."""
        first, last = bisect_left(self._ends, start), bisect_right(self._ends, stop) - 1
        if first >= last:
            return 0, [*range(start, stop)]
        return last - first, [*range(start, self._ends[first]), *range(self._ends[last], stop)]

    def _at(self, step: int) -> tuple["PackedRows", int, int]:
        """The epoch of a step, and its rows there."""
        number = int(np.searchsorted(self._ends, step, side="right")) - 1
        epoch, steps = self._epoch(number), self._ends[number + 1] - self._ends[number]
        index = step - self._ends[number]
        # As numpy.array_split, whose first parts have one more.
        each, more = divmod(len(epoch), steps)
        first = index * each + min(index, more)
        return epoch, first, first + each + (index < more)

    def _planned(self, epoch: int) -> "PackedRows":
        rng = np.random.default_rng()
        rng.bit_generator.state = self._states[epoch]
        return pack_rows(self._lengths, self._row_tokens, rng)


@dataclass(frozen=True)
class PackedRows:
    """Rows, in four bytes a window and eight a row."""

    windows: NDArray[np.int32]
    """Of all rows, in another order than that of the rows."""
    starts: NDArray[np.int32]
    """Where each row begins in `windows`."""
    sizes: NDArray[np.int32]
    """How many windows each row has."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.starts)

    @property
    def rows(self) -> Rows:
        """All rows."""
        return [self.row(number).tolist() for number in range(len(self))]

    def row(self, number: int) -> NDArray[np.int32]:
        """The windows of a row."""
        start = self.starts[number]
        return self.windows[start : start + self.sizes[number]]


class PerStep:
    """The sum over the windows of each step, by its index."""

    def __init__(
        self, plan: Plan, of_window: NDArray[np.integer], times: float | None = None
    ) -> None:
        """Takes a value of each window; the sums are multiplied by `times`."""
        self._plan, self._of_window, self._times = plan, of_window, times

    def __len__(self) -> int:
        """The number of steps."""
        return len(self._plan)

    def __getitem__(self, step: int) -> float:
        """The sum over the windows of one step."""
        total = int(self._of_window[self._plan.windows(step)].sum())
        return total if self._times is None else self._times * total

    def sum(self, start: int = 0, stop: int | None = None) -> float:
        """The sum over the steps `start:stop`; whole epochs are not planned for it."""
        whole, rest = self._plan.epochs(start, len(self) if stop is None else stop)
        of_epoch = int(self._of_window.sum()) * (1 if self._times is None else self._times)
        return whole * of_epoch + sum(self[step] for step in rest)


def pack_rows(
    lengths: Sequence[int] | NDArray[np.integer], row_tokens: int, rng: np.random.Generator
) -> PackedRows:
    """Every window once, in rows of at most `row_tokens` tokens, both in random order.

    Best fit decreasing within pools, https://en.wikipedia.org/wiki/Bin_packing_problem. On MSRA's
    training windows, 45 tokens on average in rows of 128, 0.9 % is padding.

    Args:
        lengths: of the windows, in tokens; a row lists windows by their index here.
        row_tokens: at least the length of the longest window.
        rng: decides the order.
    """
    lengths = np.asarray(lengths)
    windows, sizes = _shuffled(len(lengths), rng), []
    for pool in _pools(windows, lengths, row_tokens):
        rows = _best_fit(pool.tolist(), lengths[pool].tolist(), row_tokens)
        pool[:] = [*chain.from_iterable(rows)]  # in place: a copy would be another four bytes each
        sizes.append(np.fromiter(map(len, rows), np.int32, len(rows)))
    of_row = np.concatenate(sizes)
    starts = np.cumsum(of_row, dtype=np.int32) - of_row
    order = _shuffled(len(of_row), rng)
    return PackedRows(windows, starts[order], of_row[order])


def _shuffled(count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """What `rng.permutation(count)` draws, in half the bytes."""
    order = np.arange(count, dtype=np.int32)
    rng.shuffle(order)
    return order


def _pools(
    order: NDArray[np.int32], lengths: NDArray[np.integer], row_tokens: int
) -> Iterator[NDArray[np.int32]]:
    """Parts of `order`, which are no copies."""
    size = max(1, round(POOL_ROWS * row_tokens / float(np.mean(lengths))))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _best_fit(windows: list[int], lengths: list[int], row_tokens: int) -> Rows:
    rows: Rows = []
    with_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]
    for index in sorted(range(len(windows)), key=lambda i: -lengths[i]):
        length = lengths[index]
        room = next((r for r in range(length, row_tokens + 1) if with_room[r]), None)
        if room is None:
            rows.append([windows[index]])
            with_room[row_tokens - length].append(len(rows) - 1)
        else:
            row = with_room[room].pop()
            rows[row].append(windows[index])
            with_room[room - length].append(row)
    return rows


def _count_rows(lengths: NDArray[np.integer], row_tokens: int, rng: np.random.Generator) -> int:
    """How many rows `pack_rows` would make; `rng` draws the same."""
    rows = sum(
        _count_best_fit(np.bincount(lengths[pool]).tolist(), row_tokens)
        for pool in _pools(_shuffled(len(lengths), rng), lengths, row_tokens)
    )
    _shuffled(rows, rng)
    return rows


def _count_best_fit(windows: list[int], row_tokens: int) -> int:
    """How many rows `_best_fit` makes of so many windows of each length.

    Windows of one length fill a row that has room for `each` of them before the next one.
    """
    rows, with_room = 0, [0] * (row_tokens + 1)
    for length in range(len(windows) - 1, 0, -1):
        left = windows[length]
        while left:
            room = next((r for r in range(length, row_tokens + 1) if with_room[r]), row_tokens)
            each = room // length
            needed = -(-left // each)
            if not with_room[room]:  # none has room
                rows += needed
                with_room[room] = needed
            filled = min(with_room[room], left // each)
            with_room[room] -= filled
            with_room[room - each * length] += filled
            left -= filled * each
            if left and left < each and with_room[room]:
                with_room[room] -= 1
                with_room[room - left * length] += 1
                left = 0
    return rows
