"""Says how far scores would move with other test sentences, by the bootstrap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.params.evaluate import Bootstrap
from stages.scoring.mistakes import Judged

Counts = NDArray[np.int64]
CELLS_AT_ONCE = 2**20  # of (resamples, sentences): bounds the memory


def resampled(counts: Counts, samples: int, seed: int) -> Counts:
    """Sums of `counts` [sentences, columns] over as many sentences, drawn with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        counts: Of each sentence.
        samples: How many times the sentences are drawn anew.
        seed: Of the drawing.

    Returns:
        [samples, columns]
    """
    n = len(counts)
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // n)
    return np.concatenate(
        [
            counts[random.integers(0, n, (min(at_once, samples - done), n))].sum(axis=1)
            for done in range(0, samples, at_once)
        ]
    )


def f1(sums: Counts) -> NDArray[np.float64]:
    """Micro F1 of rows of gold, predicted and right entities.

    0 where there is nothing to find and nothing found, as seqeval's zero_division=0 has it.
    """
    gold, predicted, right = sums.T
    result: NDArray[np.float64] = 2 * right / np.maximum(gold + predicted, 1)
    return result


def interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Both ends of the percentile interval that holds the share `confidence` of `values`."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def with_intervals(
    scores: dict[str, Any], judged: Sequence[Judged], types: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Any]:
    """`scores`, overall and of the `types` in it, with `f1_low` and `f1_high`."""
    groups = [None, *(type_ for type_ in types if type_ in scores)]
    counts = np.array(
        [
            [
                sum(type_ in (None, span.type) for span in spans)
                for type_ in groups
                for spans in (sentence.gold, sentence.found, sentence.right)
            ]
            for sentence in judged
        ]
    )
    drawn = resampled(counts, bootstrap.samples, bootstrap.seed)
    result = dict(scores)
    for index, type_ in enumerate(groups):
        low, high = interval(f1(drawn[:, 3 * index : 3 * index + 3]), bootstrap.confidence)
        ends = {"f1_low": low, "f1_high": high}
        result |= ends if type_ is None else {type_: scores[type_] | ends}
    return result
