"""Decodes log-probabilities into tags and entities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..text.labels import follows
from .batches import batches_by_length

SCORES_AT_ONCE = 2**19  # cells times labels: limits the memory of decoding


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
    inner = [label for label, tag in enumerate(tags) if tag.startswith("I-")]
    # Of each I-: its B- and itself. Every other tag may follow any.
    pairs = [[b for b, tag in enumerate(tags) if follows(tags[label], tag)] for label in inner]
    before = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    cells_at_once = SCORES_AT_ONCE // len(tags)
    result: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)] * len(emissions)
    # Sentences of similar length are decoded together.
    for group in batches_by_length([len(emission) for emission in emissions], cells_at_once):
        paths = _viterbi([emissions[i] for i in group], inner, before)
        for index, path in zip(group, paths, strict=True):
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
    emissions: list[NDArray[np.float32]], inner: list[int], before: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """The paths; `before` has the two labels that each label in `inner` may follow."""
    lengths = np.array([len(emission) for emission in emissions])  # descending
    steps, labels = int(lengths[0]), emissions[0].shape[1]
    padded = np.zeros((steps, len(emissions), labels), dtype=np.float32)
    for index, emission in enumerate(emissions):
        padded[: len(emission), index] = emission
    active = [int((lengths > step).sum()) for step in range(steps)]
    back = np.zeros(padded.shape, dtype=np.int32)
    score = np.zeros((len(emissions), labels), dtype=np.float32)
    score[:, inner] = -np.inf  # label 0 is O: a sentence starts as if it followed an O
    score += padded[0] if steps else 0
    first, second = before.T
    for step in range(1, steps):
        n = active[step]
        now = score[:n]
        best = now.argmax(axis=1)
        goes_on = now[:, second] > now[:, first]
        back[step, :n] = best[:, None]
        back[step, :n, inner] = np.where(goes_on, second, first).T
        reached = np.repeat(now[np.arange(n), best][:, None], labels, axis=1)
        reached[:, inner] = np.where(goes_on, now[:, second], now[:, first])
        score[:n] = reached + padded[step, :n]
    path = np.zeros((steps, len(emissions)), dtype=np.intp)
    label = score.argmax(axis=1)
    for step in range(steps - 1, -1, -1):
        n = active[step]
        path[step, :n] = label[:n]
        label[:n] = back[step, np.arange(n), label[:n]]
    return [path[:length, index] for index, length in enumerate(lengths)]
