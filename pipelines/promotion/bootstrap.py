"""Tests whether the F1 of two models differs by more than the choice of test sentences."""

from dataclasses import dataclass

import numpy as np

from stages.scoring.bootstrap import interval, resampled
from stages.scoring.spans import Counts, f1, micro_f1


@dataclass(frozen=True)
class Difference:
    """F1 of the first model minus F1 of the second.

    Attributes:
        f1: On the test sentences as they are.
        low: Lower end of its interval.
        high: Upper end of its interval.
    """

    f1: float
    low: float
    high: float


def difference(
    first: Counts, second: Counts, samples: int, confidence: float, seed: int
) -> Difference:
    """The difference of two micro F1s on the same sentences, with a paired bootstrap's interval.

    Each draw takes the counts of both models for a sentence, so what makes a sentence hard for both
    cancels out (Berg-Kirkpatrick, Burkett and Klein, EMNLP 2012).

    Args:
        first: `stages.scoring.spans.counts` of the first model, [sentences, 3].
        second: Those of the second, the same sentences in the same order.
        samples: Number of draws.
        confidence: Of the interval, two-sided: 0.95.
        seed: Of the draws.

    Raises:
        ValueError: if there is no sentence, or the numbers of sentences differ.
    """
    if not len(first) or first.shape != second.shape:
        raise ValueError(f"counts of shape {first.shape} and {second.shape} are not of pairs")
    drawn = resampled(np.hstack([first, second]), samples, seed)
    low, high = interval(f1(drawn[:, :3]) - f1(drawn[:, 3:]), confidence)
    return Difference(micro_f1(first) - micro_f1(second), low, high)
