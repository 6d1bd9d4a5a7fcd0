"""What would come out of other test sentences: the bootstrap."""

import numpy as np
from numpy.typing import NDArray

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
