"""Decodes log-probabilities into tags and entities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..text.labels import follows
from .batches import batches_by_length
from .transitions import Transitions

SCORES_AT_ONCE = 2**19  # cells times labels: limits the memory of decoding
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, order=True)
class Span:
    """An entity at cells `start:stop` of its sentence."""

    start: int
    stop: int
    type: str


@dataclass(frozen=True)
class Decoder:
    """Turns a model's log-probabilities into tags: each cell's own, or with a CRF's transitions."""

    tags: Sequence[str]
    """The tag of each label."""
    transitions: Transitions | None = None
    """Of a CRF head; None: the head is linear."""

    @classmethod
    def read(cls, folder: Path, tags: Sequence[str]) -> "Decoder":
        """The decoder of the model in that folder, by `train` or `export`.

        Raises:
            StageError: its transitions.json has other tags.
        """
        return cls(tags, Transitions.read(folder, tags))

    def best_tags(self, emissions: Sequence[NDArray[np.float32]]) -> list[NDArray[np.intp]]:
        """The most probable label sequence of each sentence that IOB2 allows (Viterbi, 1967).

        `emissions` are, of each sentence, log-probabilities [cells, labels].
        """
        steps, labels = self._steps, len(self.tags)
        viterbi = partial(_viterbi, steps=steps)
        if self.transitions:  # a step scores all pairs of labels
            return _by_groups(emissions, SCORES_AT_ONCE // labels**2, viterbi)
        # The best tags one by one are the best sequence, if IOB2 allows them: in most sentences.
        paths: list[NDArray[np.intp]] = [emission.argmax(axis=1) for emission in emissions]
        other = [index for index, path in enumerate(paths) if not steps.allow(path)]
        sought = _by_groups(
            [emissions[index] for index in other], SCORES_AT_ONCE // labels, viterbi
        )
        for index, path in zip(other, sought, strict=True):
            paths[index] = path
        return paths

    @cached_property
    def _steps(self) -> "_Steps":
        inner = [label for label, tag in enumerate(self.tags) if tag.startswith("I-")]
        # Of each I-: its B- and itself. Every other tag may follow any.
        before = [
            [b for b, tag in enumerate(self.tags) if follows(self.tags[i], tag)] for i in inner
        ]
        start, into = np.zeros(len(self.tags), np.float32), None
        start[inner] = -np.inf  # label 0 is O: a sentence starts as if it followed an O
        if self.transitions:
            # Contiguous: with a view a step takes 2 to 7 times as long.
            start, into = self.transitions.start, np.ascontiguousarray(self.transitions.scores.T)
        return _Steps(inner, np.array(before, dtype=np.intp).reshape(-1, 2), start, into)

    def log_marginals(
        self, emissions: Sequence[NDArray[np.float32]]
    ) -> Sequence[NDArray[np.float32]]:
        """Log-probability of each label at each cell [cells, labels], over all tag sequences.

        Those of a linear head are `emissions` themselves.
        """
        if self.transitions is None:
            return emissions
        marginals = partial(_log_marginals, transitions=self.transitions)
        return _by_groups(emissions, SCORES_AT_ONCE // len(self.tags), marginals)


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


def confidence(span: Span, labels: NDArray[np.intp], marginals: NDArray[np.float32]) -> float:
    """Mean probability of the predicted labels over the cells of `span`, 0 to 1.

    `marginals` are the sentence's, by `Decoder.log_marginals`.
    """
    rows = np.arange(span.start, span.stop)
    return float(np.exp(marginals[rows, labels[rows]]).mean())


def _by_groups(
    emissions: Sequence[NDArray[np.float32]],
    cells_at_once: int,
    decode: Callable[[list[NDArray[np.float32]]], list[NDArray[T]]],
) -> list[NDArray[T]]:
    """`decode` of sentences of similar length together, in the order of `emissions`."""
    result: dict[int, NDArray[T]] = {}
    for group in batches_by_length([len(emission) for emission in emissions], cells_at_once):
        result |= zip(group, decode([emissions[i] for i in group]), strict=True)
    return [result[i] for i in range(len(emissions))]


@dataclass(frozen=True)
class _Steps:
    """What Viterbi's algorithm does at a cell."""

    inner: list[int]
    """The labels of I- tags."""
    before: NDArray[np.intp]
    """[inner, 2]: the labels that each may follow."""
    start: NDArray[np.float32]
    """[labels]: the scores of a sentence's first label."""
    into: NDArray[np.float32] | None
    """[labels, labels]: of a row's label right after a column's; None: 0."""

    def allow(self, path: NDArray[np.intp]) -> bool:
        """Whether IOB2 allows the label sequence, which follows an O."""
        return bool(self._allowed[np.append(0, path[:-1]), path].all())

    @cached_property
    def _allowed(self) -> NDArray[np.bool_]:
        """[labels, labels]: whether a column's label may follow a row's."""
        allowed = np.ones((len(self.start), len(self.start)), dtype=np.bool_)
        allowed[:, self.inner] = False
        allowed[self.before.T, self.inner] = True
        return allowed

    def reached(self, score: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """The best score of each next label, without its emission, and the label before it."""
        inner, (one, two) = self.inner, self.before.T
        first, second = score.take(one, axis=1), score.take(two, axis=1)
        if self.into is not None:
            first, second = first + self.into[inner, one], second + self.into[inner, two]
            pairs = score[:, None] + self.into
            best = pairs.argmax(axis=2)
            result = np.take_along_axis(pairs, best[..., None], axis=2)[..., 0]
        else:
            best = score.argmax(axis=1)[:, None].repeat(score.shape[1], axis=1)
            result = score.max(axis=1)[:, None].repeat(score.shape[1], axis=1)
        # Chosen from two, so that no NaN leads to an illegal label.
        goes_on = second > first
        best[:, inner] = np.where(goes_on, two, one)
        result[:, inner] = np.where(goes_on, second, first)
        return result, best


def _viterbi(emissions: list[NDArray[np.float32]], steps: _Steps) -> list[NDArray[np.intp]]:
    """The best paths of sentences in descending length."""
    padded, active = _padded(emissions)
    back = np.zeros(padded.shape, dtype=np.int32)
    score = padded[:1].sum(axis=0) + steps.start
    for step in range(1, len(active)):
        n = active[step]
        reached, back[step, :n] = steps.reached(score[:n])
        score[:n] = reached + padded[step, :n]
    path = np.zeros(padded.shape[:2], dtype=np.intp)
    label = score.argmax(axis=1)
    for step in range(len(active) - 1, -1, -1):
        n = active[step]
        path[step, :n] = label[:n]
        label[:n] = back[step, np.arange(n), label[:n]]
    return [path[: len(emission), index] for index, emission in enumerate(emissions)]


def _log_marginals(
    emissions: list[NDArray[np.float32]], transitions: Transitions
) -> list[NDArray[np.float32]]:
    """The log-marginals of sentences in descending length, by the forward-backward algorithm."""
    padded, active = _padded(emissions)
    after = np.exp(transitions.scores, dtype=np.float64)
    logs = np.zeros(padded.shape)  # forward scores first
    for step, n in enumerate(active):
        before = _log_product(logs[step - 1, :n], after) if step else transitions.start
        logs[step, :n] = before + padded[step, :n]
    backward = np.zeros(padded.shape[1:])
    for step in range(len(active) - 1, -1, -1):
        n = active[step]
        both = logs[step, :n] + backward[:n]
        logs[step, :n] = both - np.logaddexp.reduce(both, axis=1, keepdims=True)
        backward[:n] = _log_product(padded[step, :n] + backward[:n], after.T)
    marginals = logs.astype(np.float32)
    return [marginals[: len(emission), index] for index, emission in enumerate(emissions)]


def _log_product(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(exp(scores) @ weights)."""
    most = scores.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):  # an illegal label has the weight 0
        result: NDArray[np.float64] = np.log(np.exp(scores - most) @ weights) + most
    return result


def _padded(emissions: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], list[int]]:
    """Sentences in descending length [steps, sentences, labels]; of each step, how many go on."""
    lengths = np.array([len(emission) for emission in emissions])
    steps = int(lengths[0])
    padded = np.zeros((steps, len(emissions), emissions[0].shape[1]), dtype=np.float32)
    for index, emission in enumerate(emissions):
        padded[: len(emission), index] = emission
    return padded, [int((lengths > step).sum()) for step in range(steps)]
