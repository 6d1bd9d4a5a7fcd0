"""The page of sentences that a test makes up."""

import json

import pytest

from stages.report.report import Results, StageReports, report
from stages.scoring.bootstrap import with_intervals
from stages.scoring.calibration import reliability


@pytest.fixture
def made(tiny, tmp_path):
    """The page of other sentences, with what the tiny job says of its data."""

    def made(sentences, source=None, **metrics):
        params = tiny.params.evaluate
        test = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 1}
        test = with_intervals(test | {"PER": test}, sentences, ["PER"], params.bootstrap)
        file = tmp_path / "source.json"
        of_tiny = json.loads((tiny.path / "data/msra/source.json").read_text(encoding="utf-8"))
        file.write_text(json.dumps(of_tiny | (source or {})), encoding="utf-8")
        metrics["test"] = test | {"ece": None}
        bins = reliability(sentences, params.confidence_bins)
        return report(
            params,
            Results(sentences, ["PER"], metrics, bins, in_train={}),
            StageReports(file, tiny.report("align.json"), tiny.report("train.csv")),
        )

    return made
