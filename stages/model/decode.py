"""Decodes log-probabilities into tags and entities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .batches import batches_by_length
from .transitions import Transitions, allowed

SCORES_AT_ONCE = 2**19  # limits the memory of decoding
WEIGHTS_AT_ONCE = 2**17  # and that of marginals, which has several arrays of these in float64
LEAST = -1e4  # of a log-probability
SMALLEST = 1e-100  # of a weight: with 0 a cell could have no weight at all
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
        paths: dict[int, NDArray[np.intp]] = {}
        if self.transitions is None:
            # The best tags one by one, if IOB2 allows them as a sequence: in most sentences.
            alone = [emission.argmax(axis=1) for emission in emissions]
            paths = {i: path for i, path in enumerate(alone) if self._allow(path)}
        sought = [index for index in range(len(emissions)) if index not in paths]
        found = _by_groups(
            [emissions[index] for index in sought],
            SCORES_AT_ONCE // len(self.tags) ** 2,  # a step scores all pairs of labels
            partial(_viterbi, scores=self._scores),
        )
        paths |= zip(sought, found, strict=True)
        return [paths[index] for index in range(len(emissions))]

    @cached_property
    def _scores(self) -> Transitions:
        """The transitions; of a linear head 0, and -inf where IOB2 forbids the label."""
        if self.transitions:
            return self.transitions
        table = np.where(allowed(self.tags), 0.0, -np.inf).astype(np.float32)
        return Transitions(table[0], table)  # a sentence starts as if it followed an O

    def _allow(self, path: NDArray[np.intp]) -> bool:
        """Whether IOB2 allows the label sequence."""
        return bool(np.isfinite(self._scores.scores[np.append(0, path[:-1]), path]).all())

    def log_marginals(
        self, emissions: Sequence[NDArray[np.float32]]
    ) -> Sequence[NDArray[np.float32]]:
        """Log-probability of each label at each cell [cells, labels], over all tag sequences.

        Those of a linear head are `emissions` themselves.
        """
        if self.transitions is None:
            return emissions
        marginals = partial(_log_marginals, transitions=self.transitions)
        return _by_groups(emissions, WEIGHTS_AT_ONCE // len(self.tags), marginals)


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of an IOB2 tag sequence, in order; a stray I- is in none."""
    result: list[Span] = []
    for index, tag in enumerate(tags):
        if tag == "O":  # most are
            continue
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


def _viterbi(emissions: list[NDArray[np.float32]], scores: Transitions) -> list[NDArray[np.intp]]:
    """The best paths of sentences in descending length."""
    padded, active = _padded(emissions)
    # With -inf or NaN in all of a cell's labels, no path would be better than an illegal one.
    padded = np.nan_to_num(padded, nan=LEAST, neginf=LEAST)
    # [label, label before]. Contiguous: with a view a step takes 2 to 7 times as long.
    into = np.ascontiguousarray(scores.scores.T)
    back = np.zeros(padded.shape, dtype=np.int32)
    score = padded[:1].sum(axis=0) + scores.start
    for step in range(1, len(active)):
        n = active[step]
        pairs = score[:n, None] + into
        pairs.argmax(axis=2, out=back[step, :n])
        score[:n] = pairs.max(axis=2) + padded[step, :n]
    path = np.zeros(padded.shape[:2], dtype=np.intp)
    label, sentences = score.argmax(axis=1), np.arange(len(emissions))
    for step in range(len(active) - 1, -1, -1):
        n = active[step]
        path[step, :n] = label[:n]
        label[:n] = back[step, sentences[:n], label[:n]]
    return [path[: len(emission), index] for index, emission in enumerate(emissions)]


def _log_marginals(
    emissions: list[NDArray[np.float32]], transitions: Transitions
) -> list[NDArray[np.float32]]:
    """The log-marginals of sentences in descending length, by the forward-backward algorithm.

    Scaled at each cell (https://doi.org/10.1109/5.18626): in log space a step takes twice as long.
    """
    padded, active = _padded(emissions)
    start, after = (np.exp(table, dtype=np.float64) for table in vars(transitions).values())
    weights = np.maximum(np.exp(padded, dtype=np.float64), SMALLEST)
    marginals = np.ones(padded.shape)  # forward weights first
    forward = np.broadcast_to(start, padded.shape[1:])
    for step, n in enumerate(active):
        forward = (forward[:n] @ after if step else forward) * weights[step, :n]
        forward /= forward.sum(axis=1, keepdims=True)
        marginals[step, :n] = forward
    backward = np.ones(padded.shape[1:])
    for step in range(len(active) - 1, -1, -1):
        n = active[step]
        marginals[step, :n] *= backward[:n]
        before = (weights[step, :n] * backward[:n]) @ after.T
        backward[:n] = before / before.sum(axis=1, keepdims=True)
    marginals /= marginals.sum(axis=2, keepdims=True)
    logs = np.log(np.maximum(marginals, SMALLEST)).astype(np.float32)
    return [logs[: len(emission), index] for index, emission in enumerate(emissions)]


def _padded(emissions: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], list[int]]:
    """Sentences in descending length [steps, sentences, labels]; of each step, how many go on."""
    lengths = np.array([len(emission) for emission in emissions])
    steps = int(lengths[0])
    padded = np.zeros((steps, len(emissions), emissions[0].shape[1]), dtype=np.float32)
    for index, emission in enumerate(emissions):
        padded[: len(emission), index] = emission
    return padded, [int((lengths > step).sum()) for step in range(steps)]
