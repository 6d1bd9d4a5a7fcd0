"""How well an entity's confidence matches the chance that it is right."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from stages.scoring.groups import Row
from stages.scoring.mistakes import Judged
from stages.scoring.spans import counts, figures


def reliability(judged: Iterable[Judged], bins: int) -> list[Row]:
    """A row for each of `bins` equal ranges of confidence that has a predicted entity.

    Returns:
        `low` and `high` end, mean `confidence`, `precision`, `support` (predicted entities).
    """
    confidences, hits = [array("d") for _ in range(bins)], [0] * bins
    for confidence, hit in _predicted(judged):
        bin_ = min(int(confidence * bins), bins - 1)
        confidences[bin_].append(confidence)
        hits[bin_] += hit
    return [
        {
            "low": bin_ / bins,
            "high": (bin_ + 1) / bins,
            "confidence": sum(here) / len(here),
            "precision": hits[bin_] / len(here),
            "support": len(here),
        }
        for bin_, here in enumerate(confidences)
        if here
    ]


def expected_calibration_error(rows: Sequence[Row]) -> float | None:
    """Mean difference between confidence and precision in those bins (Guo et al., ICML 2017).

    None if nothing was predicted.
    """
    total = sum(row["support"] for row in rows)
    differences = (row["support"] * abs(row["confidence"] - row["precision"]) for row in rows)
    return sum(differences) / total if total else None


def at_thresholds(judged: Sequence[Judged], thresholds: Iterable[float]) -> list[Row]:
    """`figures` of the entities predicted with at least each confidence, and their number."""
    gold = int(counts(judged)[:, 0].sum())
    confidences, hits = array("d"), array("b")
    for confidence, hit in _predicted(judged):
        confidences.append(confidence)
        hits.append(hit)
    rows = []
    for threshold in sorted(thresholds):
        kept = np.frombuffer(confidences) >= threshold
        found = np.array([gold, kept.sum(), np.frombuffer(hits, np.bool_)[kept].sum()])
        rows.append({"name": f"{threshold:g}", **figures(found), "predicted": int(kept.sum())})
    return rows


def _predicted(judged: Iterable[Judged]) -> Iterator[tuple[float, bool]]:
    """Of each predicted entity, its confidence and whether it is right."""
    for sentence in judged:
        for span in sentence.predicted:
            yield sentence.confidence[span], span in sentence.gold
