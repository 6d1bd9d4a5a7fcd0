"""Tests whether the F1 of two models differs by more than the choice of test sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.scoring.bootstrap import interval, resampled
from stages.scoring.spans import Counts, SparseCounts, f1, micro_f1


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
    """`differences` of one pair, its counts [sentences, 3]."""
    if not len(first) or first.shape != second.shape:
        raise ValueError(f"counts of shape {first.shape} and {second.shape} are not of pairs")
    pair = (SparseCounts.of(first), SparseCounts.of(second))
    [found] = differences([pair], samples, confidence, seed)
    return found


def differences(
    pairs: Sequence[tuple[SparseCounts, SparseCounts]], samples: int, confidence: float, seed: int
) -> list[Difference]:
    """The difference of each two micro F1s, with a paired bootstrap's interval.

    Each draw takes the counts of both models for a sentence, so what makes a sentence hard for both
    cancels out (Berg-Kirkpatrick, Burkett and Klein, EMNLP 2012).

    Args:
        pairs: `stages.scoring.spans.counts_by` of the first and of the second model, all of the
            same sentences in the same order.
        samples: Number of draws, the same for all pairs.
        confidence: Of the intervals, two-sided: 0.95.
        seed: Of the draws.
    """
    groups = [group for pair in pairs for group in pair]
    drawn = iter([f1(sums) for sums in resampled(groups, samples, seed)] if groups else ())
    found = []
    for first, second in pairs:
        low, high = interval(next(drawn) - next(drawn), confidence)
        found.append(Difference(micro_f1(first.counts) - micro_f1(second.counts), low, high))
    return found
