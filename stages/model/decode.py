"""Decodes log-probabilities into tags and entities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..text.labels import follows
from .batches import batches_by_length

CELLS_AT_ONCE = 2**16  # limits the memory of decoding


@dataclass(frozen=True, order=True)
class Span:
    """An entity at cells `start:stop` of its sentence."""

    start: int
    stop: int
    type: str


def best_tags(
    emissions: Sequence[NDArray[np.float32]], tags: Sequence[str]
) -> list[NDArray[np.intp]]:
    """The most probable label sequence of each sentence that IOB2 allows (Viterbi, 1967).

    Args:
        emissions: of each sentence, log-probabilities [cells, labels].
        tags: the tag of each label.
    """
    allowed = np.array([[follows(tag, before) for tag in tags] for before in tags])
    transition = np.where(allowed, 0.0, -np.inf).astype(np.float32)
    result: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)] * len(emissions)
    # Sentences of similar length are decoded together.
    for group in batches_by_length([len(emission) for emission in emissions], CELLS_AT_ONCE):
        for index, path in zip(
            group, _viterbi([emissions[i] for i in group], transition), strict=True
        ):
            result[index] = path
    return result


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of an IOB2 tag sequence, in order; a stray I- is in none."""
    result: list[Span] = []
    for index, tag in enumerate(tags):
        if tag.startswith("B-"):
            result.append(Span(index, index + 1, tag[2:]))
        elif tag.startswith("I-") and result:
            start = result[-1].start
            if result[-1] == Span(start, index, tag[2:]):
                result[-1] = Span(start, index + 1, tag[2:])
    return result


def confidence(span: Span, labels: NDArray[np.intp], emission: NDArray[np.float32]) -> float:
    """Mean probability of the predicted labels over the cells of `span`, 0 to 1."""
    rows = np.arange(span.start, span.stop)
    return float(np.exp(emission[rows, labels[rows]]).mean())


def _viterbi(
    emissions: list[NDArray[np.float32]], transition: NDArray[np.float32]
) -> list[NDArray[np.intp]]:
    lengths = np.array([len(emission) for emission in emissions])  # descending
    steps = int(lengths[0])
    padded = np.zeros((steps, len(emissions), len(transition)), dtype=np.float32)
    for index, emission in enumerate(emissions):
        padded[: len(emission), index] = emission
    active = [int((lengths > step).sum()) for step in range(steps)]
    back = np.zeros(padded.shape, dtype=np.intp)
    # Label 0 is O: a sentence starts as if it followed an O.
    score = (padded[0] + transition[0]) if steps else np.zeros((len(emissions), len(transition)))
    for step in range(1, steps):
        n = active[step]
        candidates = score[:n, :, None] + transition
        back[step, :n] = candidates.argmax(axis=1)
        score[:n] = candidates.max(axis=1) + padded[step, :n]
    path = np.zeros((steps, len(emissions)), dtype=np.intp)
    label = score.argmax(axis=1)
    for step in range(steps - 1, -1, -1):
        n = active[step]
        path[step, :n] = label[:n]
        label[:n] = back[step, np.arange(n), label[:n]]
    return [path[:length, index] for index, length in enumerate(lengths)]
