import pytest

from stages.model.decode import Span
from stages.scoring.calibration import at_thresholds, expected_calibration_error, reliability
from stages.scoring.mistakes import Judged


def sentence(*entities):
    """Of one cell each: (confidence, whether it is there)."""
    spans = [Span(i, i + 1, "PER") for i in range(len(entities) + 1)]
    found = spans[:-1]
    gold = [s for s, (_, right) in zip(found, entities, strict=True) if right] + spans[-1:]
    confidences = {s: c for s, (c, _) in zip(found, entities, strict=True)}
    return Judged("x" * len(spans), gold, found, confidences | {spans[-1]: 0.1})


SENTENCES = [
    sentence((1.0, True), (0.95, False)),
    sentence((0.55, True), (0.5, True), (0.0, False)),
]


def test_predicted_entities_by_confidence():
    rows = reliability(SENTENCES, 10)
    assert [tuple(row.values()) for row in rows] == [
        (0.0, 0.1, 0.0, 0.0, 1),
        (0.5, 0.6, pytest.approx(0.525), 1.0, 2),
        (0.9, 1.0, pytest.approx(0.975), 0.5, 2),
    ]
    error = (1 * 0 + 2 * 0.475 + 2 * 0.475) / 5
    assert expected_calibration_error(rows) == pytest.approx(error)


def test_nothing_predicted_has_no_calibration():
    assert reliability([sentence()], 10) == []
    assert expected_calibration_error([]) is None


def test_a_threshold_drops_what_is_less_sure():
    rows = at_thresholds(SENTENCES, [0.5, 0.0, 1.0])
    table = [(row["name"], row["predicted"], row["precision"], row["recall"]) for row in rows]
    assert table == [("0", 5, 0.6, 0.6), ("0.5", 4, 0.75, 0.6), ("1", 1, 1.0, 0.2)]
    assert rows[2]["f1"] == pytest.approx(2 / 6)
