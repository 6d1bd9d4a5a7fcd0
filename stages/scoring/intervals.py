"""How far the scores would move with other test sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stages.params.evaluate import Bootstrap
from stages.scoring.bootstrap import f1, interval, resampled
from stages.scoring.mistakes import Judged


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
