"""Computes a model's log-probabilities of sentences from those of their windows."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .batches import batches_by_length, padded

Forward = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Token ids and attention mask, both [batch, length] → logits [batch, length, labels]."""


def emissions(
    input_ids: Sequence[NDArray[np.integer]],
    scored: Sequence[NDArray[np.bool_]],
    sentence: Sequence[int],
    forward: Forward,
    tokens_per_batch: int,
    on_batch: Callable[[int], object] = lambda _: None,
) -> list[NDArray[np.float32]]:
    """Log-probabilities [cells, labels] of each sentence.

    Args:
        input_ids: of each window, with [CLS] and [SEP].
        scored: of each window, True for each token whose cell this window scores.
        sentence: of each window, the number of its sentence: 0, 0, 1, 2, ... without a gap.
        forward: the model.
        tokens_per_batch: padding included.
        on_batch: called after each batch with its number of windows.
    """
    of_window: list[NDArray[np.float32]] = [np.empty((0, 0), dtype=np.float32)] * len(input_ids)
    for batch in batches_by_length([len(ids) for ids in input_ids], tokens_per_batch):
        ids = padded([input_ids[i] for i in batch], 0)
        mask = padded([np.ones(len(input_ids[i]), dtype=np.int64) for i in batch], 0)
        logits = forward(ids, mask)
        for index, rows in zip(batch, logits, strict=True):
            of_window[index] = _log_softmax(rows[: len(scored[index])][scored[index]])
        on_batch(len(batch))
    starts = np.flatnonzero(np.diff(np.asarray(sentence), prepend=-1))
    return [
        np.concatenate(of_window[start:stop]) if stop > start + 1 else of_window[start]
        for start, stop in zip(starts, [*starts[1:], len(of_window)], strict=True)
    ]


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits.astype(np.float32) - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
