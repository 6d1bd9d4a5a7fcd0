"""Whether an entity's confidence is the chance that it is right."""

from collections.abc import Iterable, Sequence

from stages.scoring.groups import Row, scored
from stages.scoring.mistakes import Judged


def reliability(judged: Iterable[Judged], bins: int) -> list[Row]:
    """A row for each of `bins` equal ranges of confidence in which there is any found entity.

    Returns:
        `low` and `high` ends, mean `confidence`, `precision` (the share that is right), `support`.
    """
    rows = []
    found = [
        (sentence.confidence[span], span in sentence.right)
        for sentence in judged
        for span in sentence.found
    ]
    for bin_ in range(bins):
        here = [each for each in found if min(int(each[0] * bins), bins - 1) == bin_]
        if here:
            rows.append(
                {
                    "low": bin_ / bins,
                    "high": (bin_ + 1) / bins,
                    "confidence": sum(confidence for confidence, _ in here) / len(here),
                    "precision": sum(right for _, right in here) / len(here),
                    "support": len(here),
                }
            )
    return rows


def expected_calibration_error(rows: Sequence[Row]) -> float | None:
    """Mean distance of confidence and precision in those bins (Guo et al., ICML 2017).

    None where nothing was found.
    """
    total = sum(row["support"] for row in rows)
    distances = (row["support"] * abs(row["confidence"] - row["precision"]) for row in rows)
    return sum(distances) / total if total else None


def at_thresholds(judged: Sequence[Judged], thresholds: Iterable[float]) -> list[Row]:
    """The scores if only what has at least that confidence counts; `found` is how many have."""
    gold = sum(len(sentence.gold) for sentence in judged)
    rows = []
    for threshold in sorted(thresholds):
        found = right = 0
        for sentence in judged:
            kept = [s for s in sentence.found if sentence.confidence[s] >= threshold]
            found += len(kept)
            right += len(sentence.right.intersection(kept))
        rows.append(scored(f"{threshold:g}", gold, found, right) | {"found": found})
    return rows
