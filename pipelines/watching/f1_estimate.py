"""Estimates the F1 of a model on texts without labels, from the scores of what it finds there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.settings import Watch
from pipelines.watching.texts import Text
from stages.scoring.spans import f1 as f1_of

WEIGHT_ENTITIES = 10
"""A text of the test split counts for at most so many entities: one of MSRA's is a list of 643
names, of which a model may find a tenth, and it would decide about all other texts."""
Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """F1 as the scores let expect it.

    Attributes:
        f1: The estimate.
        low: Lower end of its interval.
        high: Upper end.
        precision: Estimated.
        recall: Estimated.
        test: F1 on the test split, counted.
    """

    f1: float
    low: float
    high: float
    precision: float
    recall: float
    test: float


def estimate(test: Sequence[Text], served: Sequence[Text], settings: Watch) -> Estimate:
    """F1 on `served`, if scores and mistakes there go together as on `test`, which has labels.

    Of the test split it takes two ratios: right entities for the sum of all scores, and missed ones
    for a wrong one. So the sum of the scores tells how many are right, the others are wrong, and
    their number tells how many are missed. The interval is a bootstrap of the texts on both sides.
    """
    labelled = _table(test)
    labelled *= np.minimum(1, WEIGHT_ENTITIES / np.maximum(labelled[:, [1]], 1))
    counted = _table(served)[:, :2]
    random = np.random.default_rng(settings.seed)
    found = _estimated(labelled.sum(axis=0), counted.sum(axis=0))
    drawn = [
        _f1(_estimated(*(_resampled(side, random) for side in (labelled, counted))))
        for _ in range(settings.bootstrap_samples)
    ]
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    gold, predicted, hits = found
    return Estimate(
        _f1(found),
        float(low),
        float(high),
        float(hits / max(predicted, 1)),
        float(hits / max(gold, 1)),
        _f1(_table(test)[:, [3, 1, 2]].sum(axis=0)),
    )


def _table(texts: Sequence[Text]) -> Sums:
    """Of each text: sum of the scores, predicted entities, right ones, gold ones."""
    rows = [
        (sum(t.scores.values()), len(t.scores), len(t.gold & t.scores.keys()), len(t.gold))
        for t in texts
    ]
    return np.array(rows, np.float64).reshape(-1, 4)


def _estimated(labelled: Sums, counted: Sums) -> Sums:
    """Gold, predicted and right entities of the texts without labels."""
    scores, predicted, right, gold = labelled
    missed_for_wrong = (gold - right + 1) / (predicted - right + 1)  # also if none is wrong
    score, found = counted
    hits = min(score * right / max(scores, 1), found)
    return np.array([hits + (found - hits) * missed_for_wrong, found, hits])


def _resampled(table: Sums, random: np.random.Generator) -> Sums:
    drawn: Sums = table[random.integers(len(table), size=len(table))].sum(axis=0)
    return drawn


def _f1(sums: Sums) -> float:
    return float(f1_of(sums))  # type: ignore[arg-type]  # expected counts are fractions
