"""Packs windows into rows of one length, and rows into the batches of training steps.

A row holds several windows and almost no padding; attention stays within each window. An encoder
that cannot keep the windows of a row apart gets the same steps with one window a row.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from stages.model.batches import batches_by_length
from stages.text.labels import IGNORED
from stages.text.windows_table import Aligned
from stages.training.ranks import Ranks

POOL_ROWS = 4096  # windows are sorted within this many rows: they pack well, in random order
T = TypeVar("T")
R = TypeVar("R")


def plan_steps(
    lengths: Sequence[int], epochs: int, tokens_per_step: int, row_tokens: int, seed: int
) -> list[list[list[int]]]:
    """All steps of all epochs: a step is rows, a row is windows by their index in `lengths`.

    Every step has the same number of rows, so that one compiled graph serves all; the last rows are
    empty where an epoch ends. The plan comes first because the schedule needs the number of steps.
    """
    rng = np.random.default_rng(seed)
    rows_per_step = max(1, tokens_per_step // row_tokens)
    steps: list[list[list[int]]] = []
    for _ in range(epochs):
        rows = plan_rows(lengths, row_tokens, rng)
        # Split evenly, or the last step of an epoch could be a single row.
        count = -(-len(rows) // rows_per_step)
        for part in np.array_split(np.arange(len(rows)), count):
            steps.append(_fill([rows[i] for i in part], rows_per_step))
    return steps


def plan_rows(lengths: Sequence[int], row_tokens: int, rng: np.random.Generator) -> list[list[int]]:
    """Every window once, in rows of at most `row_tokens` tokens, both in random order.

    Best fit decreasing within pools, https://en.wikipedia.org/wiki/Bin_packing_problem. On MSRA's
    training windows, 45 tokens on average in rows of 128, 0.9 % is padding.

    Args:
        lengths: of the windows, in tokens; a row lists windows by their index here.
        row_tokens: at least the length of the longest window.
        rng: decides the order.
    """
    order = rng.permutation(len(lengths)).tolist()
    pool = max(1, round(POOL_ROWS * row_tokens / float(np.mean(lengths))))
    rows = [
        row
        for start in range(0, len(order), pool)
        for row in _best_fit(order[start : start + pool], lengths, row_tokens)
    ]
    return [rows[i] for i in rng.permutation(len(rows))]


def sum_per_step(steps: Sequence[Sequence[Sequence[int]]], of_window: Sequence[int]) -> list[int]:
    """The sum over the windows of each step."""
    return [sum(of_window[window] for row in step for window in row) for step in steps]


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed of one step's dropout; a resumed run draws the same."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def batch_maker(
    data: Aligned,
    steps: Sequence[Sequence[list[int]]],
    ranks: Ranks,
    tokens_per_batch: int,
    row_tokens: int,
    first_position: int | None,
) -> Callable[[int], list[torch.Tensor]]:
    """Returns a function: index of a step → this rank's batches, `tokens_per_batch` at most.

    Args:
        data: the training split.
        steps: as `plan_steps` returns them.
        ranks: each takes its share of a step's rows.
        tokens_per_batch: padding included.
        row_tokens: length of a packed row.
        first_position: position id of a window's first token; None: one window a row.
    """
    shares = [rank_rows(step, ranks.rank, ranks.count) for step in steps]
    if first_position is None:
        return lambda step: separate_batches(data, shares[step], tokens_per_batch)
    rows_per_batch = min(max(1, tokens_per_batch // row_tokens), len(shares[0]))
    return lambda step: make_batches(data, shares[step], rows_per_batch, row_tokens, first_position)


def rank_rows(rows: Sequence[list[int]], rank: int, ranks: int) -> list[list[int]]:
    """One rank's rows of a step; each rank has as many, the last ones may be empty."""
    return _fill(rows, ranks)[rank::ranks]


def make_batches(
    data: Aligned,
    rows: Sequence[list[int]],
    rows_per_batch: int,
    row_tokens: int,
    first_position: int,
) -> list[torch.Tensor]:
    """The batches of a step, on the CPU, in pinned memory if there is a GPU.

    Each batch is int64 [4, rows, row length]: input ids, position ids, window ids, labels. All
    have the same shape, so the last may end in empty rows.
    """
    packed = pack(data, _fill(rows, rows_per_batch), row_tokens, first_position)
    return list(torch.split(_tensor(packed), rows_per_batch, dim=1))


def separate_batches(
    data: Aligned, rows: Sequence[list[int]], tokens_per_batch: int
) -> list[torch.Tensor]:
    """The batches of a step as `make_batches`, but with one window a row and of many shapes.

    Windows of similar length share a batch. A step without windows is a single token, unlabelled:
    each rank must compute gradients.
    """
    windows = [window for row in rows for window in row]
    if not windows:
        return [torch.tensor([[[token]] for token in (data.input_ids[0][0], 0, 1, IGNORED)])]
    lengths = [len(data.input_ids[window]) for window in windows]
    return [
        _tensor(pack(data, [[windows[i]] for i in batch], max(lengths[i] for i in batch)))
        for batch in batches_by_length(lengths, tokens_per_batch)
    ]


def model_inputs(batch: torch.Tensor, packed: bool) -> dict[str, torch.Tensor]:
    """The arguments by which a model of transformers takes a batch of `make_batches`.

    Without `packed` they are those of `separate_batches`.
    """
    ids, positions, windows, _ = batch.unbind()
    if not packed:
        return {"input_ids": ids, "attention_mask": windows}  # one window: 1 is a token
    mask = windows[:, None, :, None] == windows[:, None, None, :]
    return {"input_ids": ids, "position_ids": positions, "attention_mask": mask}


@dataclass(frozen=True)
class Packed:
    """The model's inputs for some rows; each array is [rows, row length in tokens], int64."""

    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    """Counted from the first position in each window."""
    window_ids: NDArray[np.int64]
    """Number of the token's window within its row, from 1; 0 is padding."""
    labels: NDArray[np.int64]


def pack(
    data: Aligned, rows: Sequence[Sequence[int]], row_tokens: int, first_position: int = 0
) -> Packed:
    """The rows as arrays.

    Args:
        data: the split whose windows the rows list.
        rows: as `plan_rows` returns them; an empty one is all padding.
        row_tokens: length of a row.
        first_position: position id of a window's first token, which depends on the encoder.
    """
    ids, positions, windows = (np.zeros((len(rows), row_tokens), dtype=np.int64) for _ in range(3))
    labels = np.full((len(rows), row_tokens), IGNORED, dtype=np.int64)
    for number, row in enumerate(rows):
        start = 0
        for window_id, window in enumerate(row, start=1):
            length = len(data.input_ids[window])
            tokens = slice(start, start + length)
            start = tokens.stop
            ids[number, tokens] = data.input_ids[window]
            positions[number, tokens] = np.arange(first_position, first_position + length)
            windows[number, tokens] = window_id
            labels[number, tokens] = data.labels[window]
    return Packed(ids, positions, windows, labels)


def prefetch(make: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
    """`make` of each item; a thread makes the next while the caller uses the last."""
    with ThreadPoolExecutor(1) as thread:
        pending: Future[R] | None = None
        for item in items:
            ready, pending = pending, thread.submit(make, item)
            if ready:
                yield ready.result()
        if pending:
            yield pending.result()


def _tensor(packed: Packed) -> torch.Tensor:
    tensor = torch.from_numpy(np.stack([*vars(packed).values()]))
    return tensor.pin_memory() if torch.cuda.is_available() else tensor


def _fill(rows: Sequence[list[int]], multiple: int) -> list[list[int]]:
    """The rows, then empty ones up to the next multiple."""
    return [*rows, *([[]] * (-len(rows) % multiple))]


def _best_fit(order: list[int], lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]
    for window in sorted(order, key=lambda i: -lengths[i]):
        length = lengths[window]
        room = next((r for r in range(length, row_tokens + 1) if with_room[r]), None)
        if room is None:
            rows.append([window])
            with_room[row_tokens - length].append(len(rows) - 1)
        else:
            row = with_room[room].pop()
            rows[row].append(window)
            with_room[room - length].append(row)
    return rows
