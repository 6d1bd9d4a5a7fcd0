"""Lists what makes the figures of a report doubtful, each with what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.report.digits import score

LOW_F1 = 0.5
CALIBRATION_ERROR = 0.05


@dataclass(frozen=True)
class ReportWarning:
    """Something to know before reading the figures, and what to do about it."""

    message: str
    remedy: str


def warnings(
    test: Mapping[str, Any],
    types: Sequence[str],
    align: Mapping[str, Any],
    source: Mapping[str, Any],
) -> list[ReportWarning]:
    """The warnings of a report, those that `align` gave of its data first.

    Args:
        test: The scores of the test split: `test` of metrics.json.
        types: All entity types of the model.
        align: align.json.
        source: source.json.
    """
    return [
        *(ReportWarning(**warning) for warning in align["warnings"]),
        *_part_of_train(align, source),
        *_low(test, types),
        *_uncalibrated(test),
    ]


def _part_of_train(align: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[ReportWarning]:
    # Counted by `download` only in lines of BIO, and never in a growing source.
    whole = None if "growing" in source else source["train"].get("sentences")
    used = align["train"]["sentences"] + (0 if "dev" in source else align["dev"]["sentences"])
    if whole is not None and used < whole:
        yield ReportWarning(
            f"Only {used:,} of the {whole:,} sentences for training were used",
            "set align.train_sentences to null for a model that is to be used",
        )


def _low(test: Mapping[str, Any], types: Sequence[str]) -> Iterator[ReportWarning]:
    of_types = test["types"]
    scored = [("all types", test), *((t, of_types[t]) for t in types if t in of_types)]
    low = [
        f"{name} ({score(row['f1'], (row['f1_low'], row['f1_high']))})"
        for name, row in scored
        if row["support"] and row["f1"] < LOW_F1
    ]
    if low:
        yield ReportWarning(
            f"F1 is below {LOW_F1:g} for {', '.join(low)}",
            "if dev F1 still rises at the end, raise train.epochs; if the loss does not fall, lower"
            " train.learning_rate; for a single type, add sentences with it to train",
        )


def _uncalibrated(test: Mapping[str, Any]) -> Iterator[ReportWarning]:
    if test["ece"] is not None and test["ece"] > CALIBRATION_ERROR:
        yield ReportWarning(
            f"A confidence is not a probability here: the calibration error is {test['ece']:.3f}",
            "hold out more sentences for dev (align.dev_sentences), or take a dev split like test",
        )
