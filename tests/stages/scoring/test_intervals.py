import numpy as np
import pytest

from stages.params.evaluate import Bootstrap
from stages.scoring.bootstrap import with_intervals
from tests.stages.scoring.test_mistakes import judged

BOOTSTRAP = Bootstrap(samples=4000, confidence=0.9, seed=1)


def test_an_interval_is_that_of_the_sentences_drawn_anew():
    right, missed = judged([(0, 1, "PER")], [(0, 1, "PER")]), judged([(0, 1, "PER")], [])
    scores = {"f1": 0.9, "PER": {"f1": 0.9}, "support": 100}
    found = with_intervals(scores, [right] * 80 + [missed] * 20, ["PER", "ORG"], BOOTSTRAP)
    assert found["PER"] == {"f1": 0.9, "f1_low": found["f1_low"], "f1_high": found["f1_high"]}
    assert found["support"] == 100
    assert "ORG" not in found
    # Recall r is binomial, precision 1: F1 = 2r / (1 + r) rises with r.
    recalls = np.random.default_rng(0).binomial(100, 0.8, 100_000) / 100
    expected = np.quantile(2 * recalls / (1 + recalls), [0.05, 0.95])
    assert [found["f1_low"], found["f1_high"]] == pytest.approx(expected, abs=0.006)
    assert with_intervals(scores, [missed], ["PER"], BOOTSTRAP)["f1_high"] == 0
