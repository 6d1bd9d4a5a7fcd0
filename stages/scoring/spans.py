"""Counts hits, and makes precision, recall and F1 of them: nothing else in the project does.

The scores are strict: a predicted entity is a hit if the gold has one of the same type, start and
end. On tags they equal those of seqeval in strict mode with the IOB2 scheme, which for valid IOB2
is conlleval's measure.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.model.decode import Decoder, Span, spans
from stages.model.emissions import Forward, emissions
from stages.text.windows_table import Aligned

AT_ONCE = 2**16
Counts = NDArray[np.integer]
"""[..., 3]: gold entities, predicted ones, hits."""
Figures = dict[str, float | int]
"""Precision, recall, F1 (0 to 1) and support."""


class Compared(Protocol):
    """A sentence with its entities, in any order."""

    @property
    def gold(self) -> Collection[Span]:
        """The entities of the corpus."""

    @property
    def predicted(self) -> Collection[Span]:
        """The entities of the model."""


@dataclass(frozen=True)
class Pair:
    """The gold and the predicted entities of a sentence, and nothing else of it."""

    gold: Sequence[Span]
    predicted: Sequence[Span]


@dataclass(frozen=True)
class SparseCounts:
    """Counts of those sentences that have any: of hundreds of types, most sentences have none."""

    rows: NDArray[np.int32]
    """Numbers of these sentences [rows]."""
    counts: Counts
    """[rows, columns]"""
    sentences: int
    """The number of all sentences."""

    @classmethod
    def of(cls, counts: Counts) -> "SparseCounts":
        """Of counts [sentences, columns]."""
        rows = np.flatnonzero(counts.any(axis=1))
        return cls(rows.astype(np.int32), counts[rows], len(counts))

    @property
    def dense(self) -> Counts:
        """Of all sentences, [sentences, columns]."""
        result = np.zeros((self.sentences, self.counts.shape[1]), dtype=np.int64)
        result[self.rows] = self.counts
        return result


S = TypeVar("S", bound=Compared)
K = TypeVar("K", bound=Hashable)


def scores(sentences: Sequence[Compared]) -> dict[str, Any]:
    """`figures` of all entities (micro), and under `types` of each type in gold or prediction."""
    by_type = counts_by(sentences, lambda _, span: span.type)
    types = {type_: figures(by_type[type_].counts) for type_ in sorted(by_type)}
    total = np.vstack(
        [np.zeros((1, 3), dtype=np.int64), *(each.counts for each in by_type.values())]
    )
    return {**figures(total), "types": types}


def counts(sentences: Sequence[Compared], type_: str | None = None) -> Counts:
    """Counts of each sentence [sentences, 3], of the entities of `type_`; None: of all."""
    by_kept = counts_by(sentences, lambda _, span: type_ in (None, span.type))
    return by_kept[True].dense if True in by_kept else np.zeros((len(sentences), 3), dtype=np.int64)


def counts_by(sentences: Sequence[S], group: Callable[[S, Span], K]) -> dict[K, SparseCounts]:
    """Counts of each sentence, by the `group` of an entity in its sentence."""
    # Of each entity, three times its sentence and the column where it counts; of a sentence after
    # those of the one before.
    found: dict[K, array[int]] = defaultdict(lambda: array("i"))
    for number, sentence in enumerate(sentences):
        gold, predicted = set(sentence.gold), set(sentence.predicted)
        for column, entities in enumerate((gold, predicted, gold & predicted)):
            for span in entities:
                found[group(sentence, span)].append(3 * number + column)
    # Each is freed as soon as it is counted.
    return {
        key: _sparse(np.frombuffer(found.pop(key), np.int32), len(sentences)) for key in [*found]
    }


def _sparse(at: NDArray[np.int32], sentences: int) -> SparseCounts:
    """The counts of `at`, as `counts_by` has them, ascending."""
    counts = np.zeros((sentences, 3), np.int32)
    for start in range(0, len(at), AT_ONCE):  # bincount() makes int64 of what it is given
        number, column = np.divmod(at[start : start + AT_ONCE], 3)
        first = number[0]
        here = np.bincount(3 * (number - first) + column, minlength=3 * (number[-1] - first + 1))
        counts[first : number[-1] + 1] += here.reshape(-1, 3).astype(np.int32)
    return SparseCounts.of(counts)


def figures(counts: Counts) -> Figures:
    """Precision, recall, F1 and support over all rows of `counts`; what would be 0 / 0 is 0."""
    total = counts.reshape(-1, 3).sum(axis=0)
    gold, predicted, hits = total.tolist()
    return {
        "precision": hits / max(predicted, 1),
        "recall": hits / max(gold, 1),
        "f1": float(f1(total)),
        "support": gold,
    }


def micro_f1(counts: Counts) -> float:
    """F1 (0 to 1) of all rows of `counts` [sentences, 3] together."""
    return float(f1(counts.sum(axis=0)))


def f1(counts: Counts) -> NDArray[np.float64]:
    """F1 of each row of `counts`; 0 where there is no entity in gold or prediction."""
    result: NDArray[np.float64] = 2 * counts[..., 2] / np.maximum(counts[..., :2].sum(axis=-1), 1)
    return result


def strict_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """`scores` of IOB2 tags, a row for each sentence."""
    return scores([Pair(spans(a), spans(b)) for a, b in zip(gold, predicted, strict=True)])


def score(
    split: Aligned, predicted: Sequence[NDArray[np.intp]], tags: Sequence[str]
) -> dict[str, Any]:
    """`scores` of predicted labels against the untruncated gold of `split`."""
    return scores(pairs(split, predicted, tags))


def pairs(split: Aligned, predicted: Sequence[NDArray[np.intp]], tags: Sequence[str]) -> list[Pair]:
    """The entities of each whole sentence of `split` and of its predicted labels [cells]."""
    return [
        Pair(*(spans([tags[label] for label in labels]) for labels in both))
        for both in zip(split.sentence_labels(), predicted, strict=True)
    ]


def predict(
    split: Aligned,
    forward: Forward,
    decoder: Decoder,
    tokens_per_batch: int,
    on_batch: Callable[[int], object] = lambda _: None,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.intp]]]:
    """Log-probabilities [cells, labels] and predicted labels [cells] of each whole sentence.

    Calls `on_batch` with the number of windows of each batch, once it is done.
    """
    log_probabilities = emissions(
        split.input_ids, split.scored, split.sentence, forward, tokens_per_batch, on_batch
    )
    return log_probabilities, decoder.best_tags(log_probabilities)
