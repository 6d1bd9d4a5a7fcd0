"""What a report warns of."""

import pytest

from stages.report.warnings import warnings

TEST = {
    **{"f1": 0.9, "f1_low": 0.89, "f1_high": 0.91, "support": 900, "ece": 0.01},
    "types": {"PER": {"f1": 0.9, "f1_low": 0.88, "f1_high": 0.92, "support": 800}},
}
ALIGN = {
    "train": {"sentences": 90},
    "dev": {"sentences": 10},
    "warnings": [],
}
SOURCE = {"train": {"sentences": 100}}


def test_good_figures_need_none():
    assert warnings(TEST, ["PER"], ALIGN, SOURCE) == []
    jsonl = {"train": {}, "dev": {}}  # whose sentences `download` does not count
    assert warnings(TEST, ["PER"], ALIGN, jsonl) == []


@pytest.mark.parametrize(
    ("test", "align", "said"),
    [
        (
            {},
            {"train": {"sentences": 20}},
            "Only 30 of the 100 sentences for training were used",
        ),
        (
            {"f1": 0.31, "f1_low": 0.3, "f1_high": 0.32},
            {},
            "F1 is below 0.5 for all types (0.310)",
        ),
        ({"ece": 0.061}, {}, "the calibration error is 0.061"),
    ],
)
def test_each_warning_comes_alone_and_says_what_to_do(test, align, said):
    [warning] = warnings(TEST | test, ["PER"], ALIGN | align, SOURCE)
    assert said in warning.message
    assert len(warning.remedy) > 20


def test_those_that_align_gave_of_its_data_come_first():
    listed = [{"message": "12 test sentences are in train too", "remedy": "delete them"}]
    first, last = warnings(TEST | {"ece": 0.061}, ["PER"], ALIGN | {"warnings": listed}, SOURCE)
    assert first.message == listed[0]["message"]
    assert "calibration" in last.message
