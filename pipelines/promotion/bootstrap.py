"""Whether one model's F1 differs from another's beyond the choice of test sentences."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stages.scoring.bootstrap import Counts, f1, interval, resampled
from stages.scoring.predictions import Scored


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

    Both models' counts of a drawn sentence are drawn together, so what makes a sentence hard for
    both cancels out (Berg-Kirkpatrick, Burkett and Klein, EMNLP 2012).

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
    drawn = resampled(np.hstack([first, second]), samples, seed)
    low, high = interval(f1(drawn[:, :3]) - f1(drawn[:, 3:]), confidence)
    [observed] = f1(first.sum(axis=0)[None]) - f1(second.sum(axis=0)[None])
    return Difference(float(observed), low, high)


def counts(sentences: Iterable[Scored], type_: str | None = None) -> Counts:
    """Entities in the gold, predicted, and right, of each sentence: [sentences, 3].

    Args:
        sentences: As a model scored them.
        type_: Of the entities that count; None: all.
    """
    rows = [
        [
            sum(type_ in (None, span.type) for span in group)
            for group in (each.gold, each.predicted, each.gold & each.predicted)
        ]
        for each in sentences
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def f1_of(counted: Counts) -> float:
    """Micro F1 of these sentences."""
    return float(f1(counted.sum(axis=0)[None])[0])
