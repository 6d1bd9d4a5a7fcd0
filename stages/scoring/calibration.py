"""How well an entity's confidence matches the chance that it is right."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from stages.scoring.groups import Row
from stages.scoring.mistakes import Judged
from stages.scoring.spans import counts, figures


def reliability(judged: Iterable[Judged], bins: int) -> list[Row]:
    """A row for each of `bins` equal ranges of confidence that has a predicted entity.

    Returns:
        `low` and `high` end, mean `confidence`, `precision`, `support` (predicted entities).
    """
    rows = []
    predicted = [
        (sentence.confidence[span], span in sentence.gold)
        for sentence in judged
        for span in sentence.predicted
    ]
    for bin_ in range(bins):
        here = [each for each in predicted if min(int(each[0] * bins), bins - 1) == bin_]
        if here:
            rows.append(
                {
                    "low": bin_ / bins,
                    "high": (bin_ + 1) / bins,
                    "confidence": sum(confidence for confidence, _ in here) / len(here),
                    "precision": sum(hit for _, hit in here) / len(here),
                    "support": len(here),
                }
            )
    return rows


def expected_calibration_error(rows: Sequence[Row]) -> float | None:
    """Mean difference between confidence and precision in those bins (Guo et al., ICML 2017).

    None if nothing was predicted.
    """
    total = sum(row["support"] for row in rows)
    differences = (row["support"] * abs(row["confidence"] - row["precision"]) for row in rows)
    return sum(differences) / total if total else None


def at_thresholds(judged: Sequence[Judged], thresholds: Iterable[float]) -> list[Row]:
    """`figures` of the entities predicted with at least each confidence, and their number."""
    rows = []
    for threshold in sorted(thresholds):
        kept = counts([_at_least(threshold, sentence) for sentence in judged])
        predicted = int(kept[:, 1].sum())
        rows.append({"name": f"{threshold:g}", **figures(kept), "predicted": predicted})
    return rows


def _at_least(threshold: float, sentence: Judged) -> Judged:
    kept = [span for span in sentence.predicted if sentence.confidence[span] >= threshold]
    return replace(sentence, predicted=kept)
