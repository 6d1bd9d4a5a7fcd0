"""Whether one model's F1 differs from another's beyond the choice of test sentences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
CELLS_AT_ONCE = 2**20  # of (resamples, sentences): bounds the memory


@dataclass(frozen=True)
class Difference:
    """F1 of the first model less that of the second.

    Attributes:
        f1: On the sentences as they are.
        low: Lower end of its interval.
        high: Upper end.
    """

    f1: float
    low: float
    high: float


def difference(
    first: Counts, second: Counts, samples: int, confidence: float, seed: int
) -> Difference:
    """The difference of two micro F1s on the same sentences, with a paired bootstrap's interval.

    Sentences are drawn with replacement, both models' counts of a drawn sentence together, so what
    makes a sentence hard for both cancels out; the interval is the percentile one (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; for pairs of systems in language
    processing Berg-Kirkpatrick, Burkett and Klein, EMNLP 2012).

    Args:
        first: [sentences, 3]: entities in the gold, predicted, and right, of each sentence.
        second: As `first`, the same sentences in the same order.
        samples: How many times the test set is drawn anew.
        confidence: Of the interval, two-sided: 0.95.
        seed: Of the drawing.

    Raises:
        ValueError: if there is no sentence, or the two are not of equally many.
    """
    if not len(first) or first.shape != second.shape:
        raise ValueError(f"counts of shape {first.shape} and {second.shape} are not of pairs")
    both = np.hstack([first, second])
    n = len(both)
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // n)
    drawn = [
        _difference(both[random.integers(0, n, (min(at_once, samples - done), n))].sum(axis=1))
        for done in range(0, samples, at_once)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail])
    [observed] = _difference(both.sum(axis=0, keepdims=True))
    return Difference(float(observed), float(low), float(high))


def _difference(sums: Counts) -> NDArray[np.float64]:
    return _f1(sums[:, :3]) - _f1(sums[:, 3:])


def _f1(sums: Counts) -> NDArray[np.float64]:
    """0 where there is nothing to find and nothing found, as seqeval's zero_division=0 has it."""
    gold, predicted, right = sums.T
    f1: NDArray[np.float64] = 2 * right / np.maximum(gold + predicted, 1)
    return f1
