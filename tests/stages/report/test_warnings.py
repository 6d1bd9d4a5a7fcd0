"""What a report warns of."""

import pytest

from stages.report.warnings import warnings

TEST = {
    **{"f1": 0.9, "f1_low": 0.89, "f1_high": 0.91, "support": 900, "ece": 0.01},
    "PER": {"f1": 0.9, "f1_low": 0.88, "f1_high": 0.92, "support": 800},
}
ALIGN = {
    "repaired": {"train": {}, "test": {}},
    "repaired_first": {"train": {}, "test": {}},
    "train": {"sentences": 90, "entities_in": 9000},
    "dev": {"sentences": 10},
    "test": {"characters": 1000, "unknown_rate": 0.0004, "entities_in": 900},
}
SOURCE = {"train": {"sentences": 100}}


def test_good_figures_need_none():
    assert warnings(TEST, ["PER"], ALIGN, SOURCE) == []
    few = {"repaired": {"train": {"empty_token": 9}}}
    assert warnings(TEST, ["PER"], ALIGN | few, SOURCE) == []
    jsonl = {"train": {}, "dev": {}}  # whose sentences `download` does not count
    assert warnings(TEST, ["PER"], ALIGN, jsonl) == []


@pytest.mark.parametrize(
    ("test", "align", "said"),
    [
        ({}, {"test": ALIGN["test"] | {"unknown_rate": 0.023}}, "does not know 2.3% of the char"),
        (
            {},
            {"test": {"words": 9, "unknown_rate": 0.023, "entities_in": 9}},
            "does not know 2.3% of the words",
        ),
        (
            {},
            {
                "repaired": {"train": {"empty_token": 57, "stray_inside": 1}},
                "repaired_first": {"train": {"empty_token": ["train.txt:7", "train.txt:9"]}},
            },
            "align repaired train: 57 × empty token, 1 × stray inside, first at train.txt:7",
        ),
        (
            {},
            {"train": {"sentences": 20, "entities_in": 9}},
            "Only 30 of the 100 sentences for training were used",
        ),
        (
            {"f1": 0.31, "f1_low": 0.3, "f1_high": 0.32},
            {},
            "F1 is below 0.5 for all types (0.310)",
        ),
        (
            {"PER": {"f1": 0.7, "f1_low": 0.55, "f1_high": 0.81, "support": 84}},
            {},
            "too little of PER (entities: 84; F1 ±0.13)",
        ),
        (
            {"PER": {"f1": 1.0, "f1_low": 1.0, "f1_high": 1.0, "support": 3}},
            {},
            "too little of PER (entities: 3)",
        ),
        ({"PER": {**TEST["PER"], "support": 0}}, {}, "too little of PER (no entity)"),
        ({"ece": 0.061}, {}, "the calibration error is 0.061"),
    ],
)
def test_each_warning_comes_alone_and_says_what_to_do(test, align, said):
    [warning] = warnings(TEST | test, ["PER"], ALIGN | align, SOURCE)
    assert said in warning.message
    assert len(warning.remedy) > 20


def test_a_type_that_test_lacks_is_named():
    [warning] = warnings(TEST, ["PER", "ORG"], ALIGN, SOURCE)
    assert "ORG (no entity)" in warning.message


def test_the_warnings_of_align_take_the_place_of_those_made_of_its_figures():
    listed = [{"message": "12 test sentences are in train too", "remedy": "delete them"}]
    unknown = {"test": ALIGN["test"] | {"unknown_rate": 0.5}}
    assert warnings(TEST, ["PER"], ALIGN | unknown | {"warnings": listed}, SOURCE) == listed
