from collections import Counter

import pytest

from stages.scoring.groups import by_bin, by_kind, confusion, frequency, length
from stages.scoring.spans import counts
from tests.stages.scoring.test_mistakes import judged

TYPES = ["PER", "ORG"]
SENTENCES = [
    judged([(0, 1, "PER"), (2, 4, "ORG")], [(0, 1, "PER"), (2, 4, "PER")]),  # type
    judged([(0, 3, "ORG"), (5, 6, "PER")], [(0, 2, "ORG"), (7, 9, "PER")]),  # three kinds
    judged([], []),
]


def test_bins_hold_what_is_at_least_their_bound():
    rows = by_bin(SENTENCES, length, [1, 3, 2, 20], digits=2)
    assert [(row["name"], row["support"]) for row in rows] == [("01", 2), ("02", 1), ("03-19", 1)]
    ones, twos, threes = rows
    assert (ones["precision"], ones["recall"], ones["f1"]) == (1, 0.5, pytest.approx(2 / 3))
    assert (twos["precision"], twos["recall"], twos["f1"]) == (0, 0, 0)
    assert threes == {"name": "03-19", "f1": 0, "precision": 0, "recall": 0, "support": 1}
    assert [row["name"] for row in by_bin(SENTENCES, length, [2])] == ["2+"]


def test_seen_and_unseen_in_train_by_text_and_type():
    seen = frequency({("一", "PER"): 3, ("三四", "PER"): 1, ("三四", "LOC"): 9})
    rows = by_bin(SENTENCES, seen, [0, 1, 2])
    assert [(row["name"], row["support"], row["f1"]) for row in rows] == [
        ("0", 3, 0),  # 三四 as ORG among them
        ("1", 0, 0),  # found as PER
        ("2+", 1, 1),
    ]


def test_the_confusion_is_of_the_very_characters():
    assert Counter(confusion(SENTENCES, "none")) == {
        ("PER", "PER"): 1,
        ("ORG", "PER"): 1,
        ("ORG", "none"): 1,
        ("none", "ORG"): 1,
        ("PER", "none"): 1,
        ("none", "PER"): 1,
    }


def test_kinds_add_up_to_all_mistakes_and_give_the_f1_if_fixed():
    rows = {row["kind"]: row for row in by_kind(SENTENCES, TYPES)}
    assert counts(SENTENCES).sum(axis=0).tolist() == [4, 4, 1]
    assert sum(row["missed"] for row in rows.values()) == 3
    assert sum(row["spurious"] for row in rows.values()) == 3
    assert rows["type"]["types"] == [(0, 1), (1, 0)]
    assert rows["shifted"]["types"] == [(0, 0), (0, 0)]
    fixed = {kind: row["f1_if_fixed"] for kind, row in rows.items()}
    assert fixed == {
        "missed": pytest.approx(2 * 2 / 9),
        "false_positive": pytest.approx(2 * 1 / 7),
        "type": pytest.approx(2 * 2 / 8),
        "too_long": pytest.approx(2 * 1 / 8),
        "too_short": pytest.approx(2 * 2 / 8),
        "shifted": pytest.approx(2 * 1 / 8),
    }
