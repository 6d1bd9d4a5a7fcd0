"""Packs windows into rows of one length and rows into the batches of training steps.

A row holds several windows, nearly no padding, and each window is blind to the others.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from stages.text.labels import IGNORED
from stages.text.windows_table import Aligned
from stages.training.ranks import Ranks

POOL_ROWS = 4096  # windows are sorted within as many rows: the fit is good, the order still random
T = TypeVar("T")
R = TypeVar("R")


def plan_steps(
    lengths: Sequence[int], epochs: int, tokens_per_step: int, row_tokens: int, seed: int
) -> list[list[list[int]]]:
    """All steps of all epochs: a step is rows, a row is windows by their index in `lengths`.

    Every step has the same number of rows, the last ones of it empty where an epoch ends, so that
    one compiled graph serves all. Planned ahead, so that the schedule knows the number of steps.
    """
    rng = np.random.default_rng(seed)
    rows_per_step = max(1, tokens_per_step // row_tokens)
    steps: list[list[list[int]]] = []
    for _ in range(epochs):
        rows = plan_rows(lengths, row_tokens, rng)
        # Of even size, or the last step of an epoch could be a single row.
        count = -(-len(rows) // rows_per_step)
        for part in np.array_split(np.arange(len(rows)), count):
            steps.append(_filled([rows[i] for i in part], rows_per_step))
    return steps


def decay_groups(
    model: PreTrainedModel, rate: float, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Parameters by what they learn at, those of the head and the last layer first.

    Weight decay is for matrices, not for biases and layer norms, as BERT was trained. Each layer
    learns at `layer_decay` times the rate of the one above, the embeddings below the first
    (https://aclanthology.org/P18-1031: what is general is to change less).
    """
    layers = model.base_model.encoder.layer
    below = {p: len(layers) for p in model.base_model.parameters()}
    for number, layer in enumerate(layers, start=1):
        below |= dict.fromkeys(layer.parameters(), len(layers) - number)
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = below.get(parameter, 0), parameter.ndim < 2
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rate * layer_decay**depth,
            "weight_decay": 0.0 if vector else weight_decay,
        }
        for (depth, vector), parameters in sorted(groups.items(), key=lambda group: group[0])
    ]


def summed(steps: Sequence[Sequence[Sequence[int]]], of_window: Sequence[int]) -> list[int]:
    """Of each step, the sum over its windows."""
    return [sum(of_window[window] for row in step for window in row) for step in steps]


def seed_of(seed: int, step: int, rank: int = 0) -> int:
    """The seed of one step's dropout, so that a run that goes on from a step draws the same."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def share_of(rows: Sequence[list[int]], rank: int, ranks: int) -> list[list[int]]:
    """The rows of a step that are one rank's; each has as many, the last perhaps empty ones."""
    return _filled(rows, ranks)[rank::ranks]


def batches_of(
    data: Aligned,
    steps: Sequence[Sequence[list[int]]],
    ranks: Ranks,
    tokens_per_batch: int,
    row_tokens: int,
    first: int,
) -> Callable[[int], list[torch.Tensor]]:
    """Gives this rank's batches of a step, of at most `tokens_per_batch`, by the step's index."""
    shares = [share_of(step, ranks.rank, ranks.count) for step in steps]
    rows_per_batch = min(max(1, tokens_per_batch // row_tokens), len(shares[0]))
    return lambda step: as_batches(data, shares[step], rows_per_batch, row_tokens, first)


def as_batches(
    data: Aligned, rows: Sequence[list[int]], rows_per_batch: int, row_tokens: int, first: int
) -> list[torch.Tensor]:
    """The batches of a step, for the device.

    Each batch is int64 [4, rows, row length]: input ids, positions, member of the row, labels. All
    have the same shape, so the last may end in empty rows. Memory is pinned where there is a GPU.
    """
    packed = pack(data, _filled(rows, rows_per_batch), row_tokens, first)
    whole = torch.from_numpy(np.stack([*vars(packed).values()]))
    if torch.cuda.is_available():
        whole = whole.pin_memory()
    return list(torch.split(whole, rows_per_batch, dim=1))


def one_ahead(make: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
    """`make` of each item, made by another thread while the one before is used."""
    with ThreadPoolExecutor(1) as thread:
        waiting: Future[R] | None = None
        for item in items:
            before, waiting = waiting, thread.submit(make, item)
            if before:
                yield before.result()
        if waiting:
            yield waiting.result()


def _filled(rows: Sequence[list[int]], multiple: int) -> list[list[int]]:
    """The rows, and empty ones after them up to the next multiple."""
    return [*rows, *([[]] * (-len(rows) % multiple))]


@dataclass(frozen=True)
class Packed:
    """What a model reads of some rows; each array is [rows, row length in tokens], int64."""

    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    """Counted from 0 in each window."""
    member: NDArray[np.int64]
    """Which window of the row a token is of, from 1; 0 is padding."""
    labels: NDArray[np.int64]


def plan_rows(lengths: Sequence[int], row_tokens: int, rng: np.random.Generator) -> list[list[int]]:
    """Every window once, in rows of at most `row_tokens` tokens, both in random order.

    Best fit decreasing within pools, https://en.wikipedia.org/wiki/Bin_packing_problem. On MSRA's
    training windows, 45 tokens on average in rows of 128, 0.9 % is padding.

    Args:
        lengths: of the windows, in tokens; a row names them by their index here.
        row_tokens: no window is longer.
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


def pack(data: Aligned, rows: Sequence[Sequence[int]], row_tokens: int, first: int = 0) -> Packed:
    """The rows as arrays.

    Args:
        data: the split whose windows the rows name.
        rows: as `plan_rows` gives them; an empty one is all padding.
        row_tokens: length of a row.
        first: position of a window's first token, as the encoder counts.
    """
    ids, positions, member = (np.zeros((len(rows), row_tokens), dtype=np.int64) for _ in range(3))
    labels = np.full((len(rows), row_tokens), IGNORED, dtype=np.int64)
    for number, row in enumerate(rows):
        start = 0
        for place, window in enumerate(row, start=1):
            tokens = slice(start, start + len(data.input_ids[window]))
            start = tokens.stop
            ids[number, tokens] = data.input_ids[window]
            positions[number, tokens] = np.arange(first, first + tokens.stop - tokens.start)
            member[number, tokens] = place
            labels[number, tokens] = data.labels[window]
    return Packed(ids, positions, member, labels)


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
