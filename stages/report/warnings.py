"""Lists what makes the figures of a report doubtful, each with what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.report.digits import score

UNKNOWN_RATE = 0.01  # of cells; MSRA with a Chinese vocabulary has 0.0004
REPAIRED_SHARE = 0.005  # repairs for each entity; MSRA's train has 0.0008
LOW_F1 = 0.5
WIDE = 0.1  # ±0.05: wider than most differences between two good models
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
    """The warnings of a report, those of its data first: `align`'s own, where it lists them.

    Args:
        test: The scores of the test split: `test` of metrics.json.
        types: All entity types of the model.
        align: align.json.
        source: source.json.
    """
    of_data = [*_unknown(align), *_repaired(align)]
    return [
        *align.get("warnings", of_data),
        *_part_of_train(align, source),
        *_low(test, types),
        *_uncertain(test, types),
        *_uncalibrated(test),
    ]


def _unknown(align: Mapping[str, Any]) -> Iterator[ReportWarning]:
    rate = align["test"]["unknown_rate"]
    if rate > UNKNOWN_RATE:
        cells = "words" if "words" in align["test"] else "characters"
        yield ReportWarning(
            f"The encoder does not know {rate:.1%} of the {cells} of test; to the model they all"
            " look the same",
            "choose an encoder whose vocabulary has them (download.encoder)",
        )


def _repaired(align: Mapping[str, Any]) -> Iterator[ReportWarning]:
    for split, counts in align["repaired"].items():
        if sum(counts.values()) > REPAIRED_SHARE * align[split]["entities_in"]:
            kinds = ", ".join(f"{n:,} × {kind.replace('_', ' ')}" for kind, n in counts.items())
            first = next(iter(align["repaired_first"][split].values()))[0]
            yield ReportWarning(
                f"align repaired {split}: {kinds}, first at {first}",
                "read these lines, and correct the corpus if the repair is not what was meant",
            )


def _part_of_train(align: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[ReportWarning]:
    whole = source["train"].get("sentences")  # counted by `download` only in lines of BIO
    used = align["train"]["sentences"] + (0 if "dev" in source else align["dev"]["sentences"])
    if whole is not None and used < whole:
        yield ReportWarning(
            f"Only {used:,} of the {whole:,} sentences for training were used",
            "set align.train_sentences to null for a model that is to be used",
        )


def _low(test: Mapping[str, Any], types: Sequence[str]) -> Iterator[ReportWarning]:
    scored = {"all types": test} | {type_: test[type_] for type_ in types if type_ in test}
    low = [
        f"{name} ({score(row['f1'], (row['f1_low'], row['f1_high']))})"
        for name, row in scored.items()
        if row["support"] and row["f1"] < LOW_F1
    ]
    if low:
        yield ReportWarning(
            f"F1 is below {LOW_F1:g} for {', '.join(low)}",
            "if dev F1 still rises at the end, raise train.epochs; if the loss does not fall, lower"
            " train.learning_rate; for a single type, add sentences with it to train",
        )


def _uncertain(test: Mapping[str, Any], types: Sequence[str]) -> Iterator[ReportWarning]:
    rough = []
    for type_ in types:
        row = test.get(type_, {"support": 0, "f1_low": 0.0, "f1_high": 1.0})
        half = (row["f1_high"] - row["f1_low"]) / 2
        if row["support"] == 0:
            rough.append(f"{type_} (no entity)")
        elif half == 0:
            rough.append(f"{type_} (entities: {row['support']:,})")
        elif half > WIDE / 2:
            rough.append(f"{type_} (entities: {row['support']:,}; F1 ±{half:.2f})")
    if rough:
        yield ReportWarning(
            f"Test has too little of {', '.join(rough)} to compare models by it",
            "label more test sentences that contain it",
        )


def _uncalibrated(test: Mapping[str, Any]) -> Iterator[ReportWarning]:
    if test["ece"] is not None and test["ece"] > CALIBRATION_ERROR:
        yield ReportWarning(
            f"A confidence is not a probability here: the calibration error is {test['ece']:.3f}",
            "to drop doubtful entities, choose a threshold from the table under Confidence",
        )
