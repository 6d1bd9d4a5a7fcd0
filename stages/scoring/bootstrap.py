"""Confidence intervals of scores, by resampling the test sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.params.evaluate import Bootstrap
from stages.scoring.mistakes import Judged
from stages.scoring.spans import Counts, counts, f1

CELLS_AT_ONCE = 2**20  # of (resamples, sentences): bounds the memory


def with_intervals(
    scores: dict[str, Any], judged: Sequence[Judged], types: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Any]:
    """`scores`, overall and of the `types` in it, with `f1_low` and `f1_high`."""
    groups = [None, *(type_ for type_ in types if type_ in scores)]
    found = f1_intervals([counts(judged, type_) for type_ in groups], bootstrap)
    result = dict(scores)
    for type_, (low, high) in zip(groups, found, strict=True):
        ends = {"f1_low": low, "f1_high": high}
        result |= ends if type_ is None else {type_: scores[type_] | ends}
    return result


def f1_intervals(groups: Sequence[Counts], bootstrap: Bootstrap) -> list[tuple[float, float]]:
    """The interval of each group's F1; a group is the counts [sentences, 3] of some entities.

    Resamples without an entity of the group say nothing of its F1, so they are left out. Counted as
    0 they made the interval of a group in two sentences reach from 0 to 1.
    """
    drawn = resampled(np.hstack(groups), bootstrap.samples, bootstrap.seed)
    found = []
    for at in range(0, drawn.shape[1], 3):
        of_group = drawn[:, at : at + 3]
        some = of_group[of_group[:, :2].any(axis=1)]
        found.append(interval(f1(some), bootstrap.confidence) if len(some) else (0.0, 0.0))
    return found


def resampled(counts: Counts, samples: int, seed: int) -> Counts:
    """Sums of `counts` over as many sentences, drawn with replacement, `samples` times.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        counts: Of each sentence, [sentences, columns].
        samples: Number of draws.
        seed: Of the draws.

    Returns:
        [samples, columns]
    """
    n = len(counts)
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // n)
    result = np.empty((samples, counts.shape[1]), dtype=np.int64)
    for done in range(0, samples, at_once):
        rows = result[done : done + at_once]
        drawn = random.integers(0, n, (len(rows), n))
        drawn += n * np.arange(len(rows))[:, None]
        times = np.bincount(drawn.ravel(), minlength=len(rows) * n).reshape(len(rows), n)
        # Sums of integers below 2**53, so exact; a product of integers would not use BLAS.
        rows[:] = times.astype(np.float64) @ counts
    return result


def interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Low and high end of the percentile interval with the share `confidence` of `values`."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
