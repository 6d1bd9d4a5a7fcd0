"""Confidence intervals of scores, by resampling the test sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.params.evaluate import Bootstrap
from stages.scoring.mistakes import Judged
from stages.scoring.spans import Counts, SparseCounts, counts, counts_by, f1

CELLS_AT_ONCE = 2**18  # of (resamples, sentences): bounds the memory


def with_intervals(
    scores: dict[str, Any], judged: Sequence[Judged], types: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Any]:
    """`scores`, overall and of those `types` that are in it, with `f1_low` and `f1_high`."""
    of_types = scores["types"]
    scored = [type_ for type_ in types if type_ in of_types]
    by_type = counts_by(judged, lambda _, span: span.type)
    groups = [SparseCounts.of(counts(judged)), *(by_type[type_] for type_ in scored)]
    (low, high), *found = f1_intervals(groups, bootstrap)
    with_ends = {
        type_: of_types[type_] | {"f1_low": low_end, "f1_high": high_end}
        for type_, (low_end, high_end) in zip(scored, found, strict=True)
    }
    return scores | {"f1_low": low, "f1_high": high, "types": of_types | with_ends}


def f1_intervals(groups: Sequence[SparseCounts], bootstrap: Bootstrap) -> list[tuple[float, float]]:
    """The interval of each group's F1; a group has three columns, of the same sentences.

    Resamples without an entity of the group say nothing of its F1, so they are left out. Counted as
    0 they made the interval of a group in two sentences reach from 0 to 1.
    """
    found = []
    for drawn in resampled(groups, bootstrap.samples, bootstrap.seed):
        some = drawn[drawn[:, :2].any(axis=1)]
        found.append(interval(f1(some), bootstrap.confidence) if len(some) else (0.0, 0.0))
    return found


def resampled(groups: Sequence[SparseCounts], samples: int, seed: int) -> list[Counts]:
    """Sums of each group's counts over sentences drawn with replacement, `samples` times.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        groups: Counts of the same sentences.
        samples: Number of draws, the same for all groups.
        seed: Of the draws.

    Returns:
        Of each group, [samples, columns].
    """
    n = groups[0].sentences
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // n)
    result: list[Counts] = [
        np.empty((samples, group.counts.shape[1]), dtype=np.int64) for group in groups
    ]
    for done in range(0, samples, at_once):
        many = min(at_once, samples - done)
        drawn = random.integers(0, n, (many, n))
        drawn += n * np.arange(many)[:, None]
        times = np.bincount(drawn.ravel(), minlength=many * n).reshape(many, n).astype(np.float64)
        for sums, group in zip(result, groups, strict=True):
            # Sums of integers below 2**53, so exact; a product of integers would not use BLAS.
            sums[done : done + many] = times[:, group.rows] @ group.counts
    return result


def interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Low and high end of the percentile interval with the share `confidence` of `values`."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
