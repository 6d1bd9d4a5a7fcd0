"""The page of sentences that a test makes up."""

import json

import pytest

from stages.report.report import Results, StageReports, report
from stages.scoring.bootstrap import with_intervals
from stages.scoring.calibrate import calibrate
from stages.scoring.calibration import reliability
from stages.scoring.judged import JudgedSentences
from stages.scoring.spans import scores


@pytest.fixture
def made(tiny, tmp_path):
    """The page of other sentences, with what the tiny job says of its data."""

    def made(sentences, source=None, slices=(), types=("PER",), text=None, **metrics):
        params = tiny.params.evaluate.model_copy(update={"errors": 200})
        test = with_intervals(scores(sentences), sentences, types, params.bootstrap)
        file = tmp_path / "source.json"
        of_tiny = json.loads((tiny.path / "data/corpus/source.json").read_text(encoding="utf-8"))
        file.write_text(json.dumps(of_tiny | (source or {})), encoding="utf-8")
        align = json.loads(tiny.report("align.json").read_text(encoding="utf-8"))
        about = tmp_path / "align.json"
        about.write_text(json.dumps(align | ({"text": text} if text else {})), encoding="utf-8")
        metrics["test"] = test | {"ece": None, "ece_uncalibrated": None}
        judged = JudgedSentences(sentences)
        calibration = calibrate(params.calibration, judged, types)
        metrics["passed"] = scores(judged.passed(calibration))
        bins = reliability(sentences, params.confidence_bins)
        return report(
            params,
            Results(sentences, types, metrics, bins, calibration, {}, slices, "cpu"),
            StageReports(file, about, tiny.report("train.csv")),
        )

    return made
