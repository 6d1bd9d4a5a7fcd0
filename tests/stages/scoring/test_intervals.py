import tracemalloc

import numpy as np
import pytest

from stages.params.evaluate import Bootstrap
from stages.scoring.bootstrap import f1_intervals, resampled, with_intervals
from stages.scoring.spans import SparseCounts
from tests.stages.scoring.test_mistakes import judged

BOOTSTRAP = Bootstrap(samples=4000, confidence=0.9, seed=1)


def test_an_interval_is_that_of_the_sentences_drawn_anew():
    right, missed = judged([(0, 1, "PER")], [(0, 1, "PER")]), judged([(0, 1, "PER")], [])
    scores = {"f1": 0.9, "types": {"PER": {"f1": 0.9}}, "support": 100}
    found = with_intervals(scores, [right] * 80 + [missed] * 20, ["PER", "ORG"], BOOTSTRAP)
    ends = {"f1_low": found["f1_low"], "f1_high": found["f1_high"]}
    assert found["types"] == {"PER": {"f1": 0.9} | ends}
    assert found["support"] == 100
    # Recall r is binomial, precision 1: F1 = 2r / (1 + r) rises with r.
    recalls = np.random.default_rng(0).binomial(100, 0.8, 100_000) / 100
    expected = np.quantile(2 * recalls / (1 + recalls), [0.05, 0.95])
    assert [found["f1_low"], found["f1_high"]] == pytest.approx(expected, abs=0.006)
    assert with_intervals(scores, [missed], ["PER"], BOOTSTRAP)["f1_high"] == 0


def test_resamples_without_an_entity_of_the_group_are_left_out():
    one, none = np.array([[10, 10, 9]]), np.zeros((99, 3), dtype=np.int64)
    groups = [np.vstack([one, none]), np.vstack([none, 0 * one])]
    found = f1_intervals([*map(SparseCounts.of, groups)], BOOTSTRAP)
    assert found == [(0.9, 0.9), (0, 0)]


def test_the_sums_are_exact_and_memory_is_bounded_at_128_types():
    n, samples = 3000, 400
    counts = np.random.default_rng(0).integers(0, 2**40, (n, 3 * 129))
    tracemalloc.start()
    [drawn] = resampled([SparseCounts.of(counts)], samples, seed=17)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6  # the drawn counts themselves are 3 GB
    assert drawn.dtype == np.int64
    rows = np.random.default_rng(17).integers(0, n, (samples, n))
    for sums, row in zip(drawn, rows, strict=True):
        assert np.array_equal(sums, counts[row].sum(axis=0))
