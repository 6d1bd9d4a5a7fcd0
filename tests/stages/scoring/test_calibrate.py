"""Scores of entities whose chance to be right is known, calibrated."""

import math
from random import Random

import pytest

from stages.contract.errors import StageError
from stages.model.decode import Span
from stages.params.evaluate import Calibration as Params
from stages.scoring.calibrate import calibrate
from stages.scoring.calibration import expected_calibration_error, reliability
from stages.scoring.judged import JudgedSentences
from stages.scoring.mistakes import Judged
from stages.scoring.temperature import Calibration, TypeCalibration

PARAMS = Params(target_precision=0.9, threshold_entities=50, own_entities=500, folds=3)


def sentences(seed, n, **types):
    """Of one entity of each type, as sure of it as `types` makes a function of its true chance."""
    random, made = Random(seed), []  # noqa: S311
    for _ in range(n):
        gold, confidences = [], {}
        for at, (type_, sure) in enumerate(types.items()):
            span, chance = Span(at, at + 1, type_), random.uniform(0.02, 0.98)
            confidences[span] = sure(chance)
            gold += [span] if random.random() < chance else []
        made.append(Judged("字" * len(types), gold, [*confidences], confidences))
    return JudgedSentences(made)


def moved(temperature, bias):
    """A confidence that this temperature and this bias bring back to the chance."""

    def sure(chance):
        odds = (math.log(chance / (1 - chance)) - bias) * temperature
        return 1 / (1 + math.exp(-odds))

    return sure


def error(judged):
    return expected_calibration_error(reliability(judged, 10))


def test_it_finds_the_temperature_and_bias_that_moved_the_scores():
    found = calibrate(PARAMS, sentences(1, 4000, PER=moved(3, -1)), ["PER"]).types["PER"]
    assert (found.temperature, found.bias) == (
        pytest.approx(3, rel=0.1),
        pytest.approx(-1, abs=0.1),
    )
    test = sentences(2, 4000, PER=moved(3, -1))
    calibration = Calibration({"PER": found})
    assert error(test) > 0.2
    assert error(test.calibrated(calibration)) < 0.03


def test_a_type_has_its_own_where_it_differs_and_has_enough_entities():
    types = {"PER": moved(3, 0), "LOC": moved(0.7, -1)}
    for n, own in ((400, False), (2000, True)):
        found = calibrate(PARAMS, sentences(3, n, **types), [*types]).types
        assert [row.fitted_on for row in found.values()] == [n if own else 2 * n] * 2
        assert (found["PER"].temperature == found["LOC"].temperature) is not own
    alike = calibrate(PARAMS, sentences(6, 2000, PER=moved(3, 0), LOC=moved(3, 0)), [*types])
    assert 4000 in {row.fitted_on for row in alike.types.values()}


def test_the_order_of_a_types_entities_stays():
    dev = sentences(4, 300, PER=moved(3, -1))
    calibration = calibrate(PARAMS, dev, ["PER"])
    before, after = (
        [value for each in judged for value in each.confidence.values()]
        for judged in (dev, dev.calibrated(calibration))
    )
    by_both = [after[i] for i in sorted(range(len(before)), key=before.__getitem__)]
    assert by_both == sorted(after)


def test_a_threshold_is_the_lowest_with_the_precision():
    dev = sentences(5, 800, PER=moved(2, 0.5))
    calibration = calibrate(PARAMS, dev, ["PER"])
    row, scored = calibration.types["PER"], dev.calibrated(calibration)
    rows = sorted((each.confidence[s], s in each.gold) for each in scored for s in each.predicted)

    def precision(threshold):
        above = [right for score, right in rows if score >= threshold]
        return sum(above) / len(above)

    assert row.precision == pytest.approx(precision(row.threshold), abs=1e-4)
    assert row.precision >= 0.9
    assert all(precision(score) < 0.9 for score, _ in rows if score < row.threshold)
    sure = [span for each in scored.passed(calibration) for span in each.predicted]
    assert len(sure) == sum(score >= row.threshold for score, _ in rows) < len(rows)
    right = sum(right for score, right in rows if score >= row.threshold)
    gold = sum(len(each.gold) for each in dev)
    assert row.recall == pytest.approx(right / gold, abs=1e-4)


def test_a_type_with_few_entities_has_the_threshold_of_all():
    many = sentences(7, 200, PER=moved(1, 0))
    few = sentences(8, 49, LOC=moved(1, 0))
    found = calibrate(PARAMS, JudgedSentences([*many, *few]), ["PER", "LOC", "ORG"]).types
    assert (found["PER"].predicted, found["LOC"].predicted, found["ORG"].predicted) == (200, 49, 0)
    assert found["LOC"].threshold == found["ORG"].threshold != found["PER"].threshold


@pytest.mark.parametrize("right", [True, False])
def test_all_right_or_all_wrong_is_not_certain(right):
    span = Span(0, 1, "PER")
    dev = [Judged("字", [span] if right else [], [span], {span: p / 99}) for p in range(100)]
    calibration = calibrate(PARAMS, JudgedSentences(dev), ["PER"])
    score = calibration.score("PER", 0.5)
    assert (0.9 < score < 1) if right else (0 < score < 0.1)
    threshold = calibration.types["PER"].threshold
    assert threshold == (calibration.score("PER", 0) if right else None)
    assert calibration.passed("PER", 1.0) is right


def test_nothing_predicted_on_dev_changes_no_score():
    calibration = calibrate(PARAMS, JudgedSentences([Judged("字", [], [], {})]), ["PER"])
    assert calibration.types == {"PER": TypeCalibration(1.0, 0.0, 0, None, 0.0, 0.0, 0)}
    assert calibration.score("PER", 0.123456) == 0.1235
    assert calibration.passed("PER", 1.0) is False


def test_the_file_has_all_of_it(tmp_path):
    calibration = calibrate(PARAMS, sentences(9, 100, 人名=moved(2, 0)), ["人名", "b"])
    calibration.write(tmp_path / "calibration.json")
    assert Calibration.read(tmp_path, ["b", "人名"]) == calibration
    with pytest.raises(StageError) as refused:
        Calibration.read(tmp_path, ["b"])
    assert str(refused.value) == (
        f"{tmp_path}/calibration.json and labels.json have different types: take both from one run"
    )


def test_a_model_from_before_has_its_scores_and_no_thresholds(tmp_path):
    calibration = Calibration.read(tmp_path, ["PER"])
    assert calibration.score("PER", 0.987654) == 0.9877
    assert calibration.passed("PER", 1.0) is None
