"""Packs the rows of a training step into batches.

A row holds several windows and almost no padding; attention stays within each window. An encoder
that cannot keep the windows of a row apart gets the same steps with one window a row.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from stages.model.batches import batches_by_length
from stages.model.tagger import first_position
from stages.text.labels import IGNORED
from stages.text.windows_table import Aligned
from stages.training.ranks import Ranks

TOLERANCE = 1e-3  # rounding gives 1e-6, and windows that see each other 2e-3 to 0.2, in fp32
T = TypeVar("T")
R = TypeVar("R")


class Windows(Protocol):
    """The windows of a split, such as `Aligned`."""

    @property
    def input_ids(self) -> Sequence[NDArray[np.integer]]:
        """Token ids of each, with [CLS] and [SEP]."""

    @property
    def labels(self) -> Sequence[NDArray[np.integer]]:
        """Labels of its tokens, -100 where none counts."""


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed of one step's dropout; a resumed run draws the same."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def batch_maker(
    data: Windows,
    steps: Sequence[Sequence[list[int]]],
    ranks: Ranks,
    tokens_per_batch: int,
    row_tokens: int,
    first_position: int | None,
) -> Callable[[int], list[torch.Tensor]]:
    """Returns a function: index of a step → this rank's batches, `tokens_per_batch` at most.

    Args:
        data: the training split.
        steps: a `stages.training.plan.Plan`.
        ranks: each takes its share of a step's rows.
        tokens_per_batch: padding included.
        row_tokens: length of a packed row.
        first_position: position id of a window's first token; None: one window a row.
    """

    def share(step: int) -> list[list[int]]:
        return rank_rows(steps[step], ranks.rank, ranks.count)

    if first_position is None:
        return lambda step: separate_batches(data, share(step), tokens_per_batch)
    rows_per_batch = min(max(1, tokens_per_batch // row_tokens), len(share(0)))
    return lambda step: make_batches(data, share(step), rows_per_batch, row_tokens, first_position)


def rank_rows(rows: Sequence[list[int]], rank: int, ranks: int) -> list[list[int]]:
    """One rank's rows of a step; each rank has as many, the last ones may be empty."""
    return _fill(rows, ranks)[rank::ranks]


def make_batches(
    data: Windows,
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
    data: Windows, rows: Sequence[list[int]], tokens_per_batch: int
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
    data: Windows, rows: Sequence[Sequence[int]], row_tokens: int, first_position: int = 0
) -> Packed:
    """The rows as arrays.

    Args:
        data: the split whose windows the rows list.
        rows: of a step; an empty one is all padding.
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


def packs(model: PreTrainedModel, row_tokens: int) -> bool:
    """True if windows in a row of `row_tokens` give what each gives alone.

    Some attentions add the mask to their scores instead of masking by it, ignore the position ids
    or take no mask with four axes. Those mix the windows of a row, without an error. What is
    compared are the hidden states, in fp32 on the model's device: a new head's logits are so small
    that a difference could hide in them.
    """
    # A row that a window fills, too: in ModernBERT a given mask replaces its local attention.
    shared = [row_tokens // 4, row_tokens // 2, row_tokens // 8]  # and the rest is padding
    training = model.training
    model.eval()
    try:
        return all(
            _difference(model, lengths, row_tokens) <= TOLERANCE
            for lengths in (shared, [row_tokens])
        )
    except (TypeError, ValueError, RuntimeError, IndexError):  # it does not take such inputs
        return False
    finally:
        model.train(training)


@torch.inference_mode()
def _difference(model: PreTrainedModel, lengths: list[int], row_tokens: int) -> float:
    """The largest difference of a hidden state between windows in one row and each alone."""
    rng, size = np.random.default_rng(0), model.config.vocab_size
    # From the upper half of the vocabulary: special tokens may have a meaning for the model.
    ids: list[Any] = [rng.integers(size // 2, size, length) for length in lengths]
    labels: list[Any] = [np.full_like(of_window, IGNORED) for of_window in ids]
    windows = range(len(lengths))
    data = Aligned([*windows], [[]] * len(windows), ids, labels)

    def states(batches: list[torch.Tensor], packed: bool) -> torch.Tensor:
        inputs = model_inputs(batches[0].to(model.device), packed)
        result: torch.Tensor = model.base_model(**inputs).last_hidden_state[0]
        return result

    row = states(make_batches(data, [[*windows]], 1, row_tokens, first_position(model)), True)
    together = torch.split(row[: sum(lengths)], lengths)
    alone = [states(separate_batches(data, [[window]], row_tokens), False) for window in windows]
    differences = [(one - other).abs().max() for one, other in zip(together, alone, strict=True)]
    return max(map(float, differences))
