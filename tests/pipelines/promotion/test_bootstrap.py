"""The paired bootstrap against cases whose answer is known."""

from itertools import product

import numpy as np
import pytest

from pipelines.promotion.bootstrap import Difference, difference
from stages.scoring import bootstrap

GIVEN = {"samples": 2000, "confidence": 0.95, "seed": 1}


def counts(right: list[int]) -> np.ndarray:
    """One entity in the gold and one found, right or not, of each sentence."""
    return np.array([[1, 1, each] for each in right])


def test_equal_models_differ_by_nothing() -> None:
    same = counts([1, 0, 1, 1, 0] * 20)
    assert difference(same, same, **GIVEN) == Difference(0.0, 0.0, 0.0)


def test_a_clearly_better_model_is_better_at_both_ends() -> None:
    found = difference(counts([1] * 200), counts([1] * 160 + [0] * 40), **GIVEN)
    assert found.f1 == pytest.approx(0.2)
    assert 0.13 < found.low < found.f1 - 0.04 < found.f1 + 0.04 < found.high < 0.27
    back = difference(counts([1] * 160 + [0] * 40), counts([1] * 200), **GIVEN)
    assert [back.f1, back.low, back.high] == pytest.approx([-found.f1, -found.high, -found.low])


def test_the_interval_is_that_of_all_resamples_of_a_small_set() -> None:
    first, second = counts([1, 1, 0]), counts([0, 1, 1])
    every = [
        first[list(drawn)][:, 2].mean() - second[list(drawn)][:, 2].mean()
        for drawn in product(range(3), repeat=3)
    ]
    ends = np.quantile(every, [0.025, 0.975, 0.25, 0.75], method="inverted_cdf")
    found = difference(first, second, samples=20_000, confidence=0.95, seed=3)
    assert [found.low, found.high] == pytest.approx(ends[:2]) == [-1, 1]
    narrow = difference(first, second, samples=20_000, confidence=0.5, seed=3)
    assert [narrow.low, narrow.high] == pytest.approx(ends[2:])
    assert 0 < narrow.high < 1


def test_what_is_hard_for_both_cancels_out() -> None:
    hard = [1, 0] * 100
    paired = difference(counts(hard), counts([0, *hard[1:]]), **GIVEN)
    unpaired = difference(counts(hard), counts([0, 1] * 100), **GIVEN)
    assert paired.high - paired.low < 0.02 < 0.1 < unpaired.high - unpaired.low


def test_f1_counts_entities_not_sentences() -> None:
    first = np.array([[3, 2, 2], [0, 1, 0], [0, 0, 0]])
    second = np.array([[3, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert difference(first, second, **GIVEN).f1 == pytest.approx(2 * 2 / 6)


def test_one_sentence_has_no_spread_and_none_is_refused() -> None:
    assert difference(counts([1]), counts([0]), **GIVEN) == Difference(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="are not of pairs"):
        difference(counts([1])[:0], counts([1])[:0], **GIVEN)
    with pytest.raises(ValueError, match="are not of pairs"):
        difference(counts([1, 1]), counts([1]), **GIVEN)


def test_the_seed_fixes_it_and_memory_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = counts([1, 1, 0, 1] * 25), counts([1, 0, 1, 1] * 25)
    found = difference(first, second, **GIVEN)
    assert difference(first, second, **GIVEN) == found
    assert difference(first, second, **{**GIVEN, "seed": 2}) != found
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 100)
    in_parts = difference(first, second, **GIVEN)
    assert in_parts.low == pytest.approx(found.low, abs=0.02)
    assert in_parts.high == pytest.approx(found.high, abs=0.02)
