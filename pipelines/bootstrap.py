"""Whether one model's F1 differs from another's beyond the choice of test sentences."""

from dataclasses import dataclass

import numpy as np

from stages.ner.bootstrap import Counts, f1, interval, resampled


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
