"""Decodes log-probabilities into tags and entities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .batches import batches_by_length
from .transitions import Transitions, allowed

SCORES_AT_ONCE = 2**19  # limits the memory of decoding
WEIGHTS_AT_ONCE = 2**16  # stay in a core's cache: outside it marginals take twice as long
LEAST = -1e4  # of a log-probability
SMALLEST = 1e-60  # of a weight: with 0 a cell could have no weight at all
T = TypeVar("T", bound=np.generic)


class Span(NamedTuple):
    """An entity at cells `start:stop` of its sentence; a tuple, since millions are compared."""

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
    found: list[tuple[int, int, str]] = []
    for index, tag in enumerate(tags):
        if tag == "O":  # most are
            continue
        start, type_ = index, tag[2:]
        if not tag.startswith("B-"):
            if not found or found[-1][1:] != (index, type_):
                continue
            start = found.pop()[0]
        found.append((start, index + 1, type_))
    return [Span(*each) for each in found]


def confidences(
    found: Sequence[Span], labels: NDArray[np.intp], marginals: NDArray[np.float32]
) -> list[float]:
    """Of each span, the mean probability of its cells' predicted labels, 0 to 1.

    `marginals` are the sentence's, by `Decoder.log_marginals`.
    """
    if not found:
        return []
    probable = np.exp(marginals[np.arange(len(labels)), labels]).tolist()
    return [sum(probable[s.start : s.stop]) / (s.stop - s.start) for s in found]


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
    padded, lengths = _padded(emissions)
    steps, sentences, labels = padded.shape
    # With -inf or NaN in all of a cell's labels, no path would be better than an illegal one.
    best = np.nan_to_num(padded, nan=LEAST, neginf=LEAST)
    best[:1] += scores.start
    # [label before, sentence, label]: along the first axis a maximum is found the fastest.
    pairs = np.empty((labels, sentences, labels), dtype=np.float32)
    columns, table = best.transpose(0, 2, 1)[..., None], scores.scores[:, None]
    for before, here in zip(columns[:-1], best[1:], strict=True):
        np.add(before, table, out=pairs)
        here += np.maximum.reduce(pairs)
    # After the last cell comes a label of its own, which any may precede.
    ended = np.full((steps, sentences, 1), -np.inf, dtype=np.float32)
    ended[np.arange(steps)[:, None] >= lengths] = np.inf
    best = np.concatenate([best, ended], axis=2)
    into = np.zeros((labels + 1, labels + 1), dtype=np.float32)
    into[:labels, :labels] = scores.scores.T
    path = np.full((steps + 1, sentences), labels, dtype=np.intp)
    for here, label, after in zip(best[::-1], path[-2::-1], path[:0:-1], strict=True):
        (here + into.take(after, axis=0)).argmax(axis=1, out=label)
    return [path[:length, index] for index, length in enumerate(lengths)]


def _log_marginals(
    emissions: list[NDArray[np.float32]], transitions: Transitions
) -> list[NDArray[np.float32]]:
    """The log-marginals of sentences in descending length, by the forward-backward algorithm.

    Scaled (https://doi.org/10.1109/5.18626), since in log space a step takes twice as long. The
    backward weights are the forward ones of reversed sentences, in columns beside them, so that a
    step of both is one product.
    """
    padded, lengths = _padded(emissions)
    steps, sentences, labels = padded.shape
    mirrored = np.maximum(lengths - 1 - np.arange(steps)[:, None], 0), np.arange(sentences)
    start, after = (np.exp(table, dtype=np.float64) for table in vars(transitions).values())
    own = np.maximum(np.exp(padded, dtype=np.float64), SMALLEST)
    weights = np.concatenate([own, own[mirrored]], axis=2)
    turns, ones = _block_diagonal(after, after.T), np.ones((labels, labels))
    sums = _block_diagonal(ones, ones)
    before = np.ones(weights.shape)  # without the cell's own
    before[:1, :, :labels] = start
    for step in range(1, steps):
        state = before[step - 1] * weights[step - 1]
        if step % 2:  # two of the smallest weights, multiplied, are still a number
            state /= state.dot(sums)
        state.dot(turns, out=before[step])
    marginals = before[..., :labels] * own * before[..., labels:][mirrored]
    marginals /= marginals.sum(axis=2, keepdims=True)
    logs = np.log(np.maximum(marginals, SMALLEST)).astype(np.float32)
    return [logs[:length, index] for index, length in enumerate(lengths)]


def _block_diagonal(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of two square matrices of one size."""
    size = len(one)
    made = np.zeros((2 * size, 2 * size))
    made[:size, :size], made[size:, size:] = one, other
    return made


def _padded(
    emissions: list[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Sentences in descending length [steps, sentences, labels], and their lengths."""
    lengths = np.array([len(emission) for emission in emissions])
    padded = np.zeros((lengths[0], len(emissions), emissions[0].shape[1]), dtype=np.float32)
    for index, emission in enumerate(emissions):
        padded[: len(emission), index] = emission
    return padded, lengths
