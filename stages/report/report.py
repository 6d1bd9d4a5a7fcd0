"""reports/index.html: what `evaluate` found out, for people."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.params.evaluate import Evaluate
from stages.report.page import page
from stages.report.plots import learning_curves, reliability_plot
from stages.report.worst import worst
from stages.scoring.calibration import at_thresholds
from stages.scoring.groups import Row, by_bin, by_kind, confusion, frequency, length, totals
from stages.scoring.mistakes import KINDS, Judged

NONE = "none"  # no entity at that span


def report(
    params: Evaluate,
    judged: Sequence[Judged],
    types: Sequence[str],
    metrics: Mapping[str, Any],
    reliability: Sequence[Row],
    in_train: Mapping[tuple[str, str], int],
    source: Path,
    align: Path,
    curve: Path,
) -> str:
    """The page; the same bytes for the same figures.

    Args:
        params: Bins, thresholds, how many sentences.
        judged: The test split.
        types: All types that the model knows, in the order of its labels.
        metrics: What metrics.json has: `test`, and `slices` and `robustness` where there are any.
        reliability: `stages.scoring.calibration.reliability` of `judged`.
        in_train: How often an entity of that text and type is in train.
        source: What `download` says of the corpus.
        align: What `align` counted.
        curve: What `train` logged.
    """
    scores = metrics["test"]
    gold, found, right = totals(judged)
    pairs = Counter(confusion(judged, NONE))
    return page(
        Path(__file__).with_name("report.html"),
        test=scores,
        types=types,
        level=params.bootstrap.confidence,
        samples=params.bootstrap.samples,
        by_type=[{"name": type_, **scores[type_]} for type_ in types if type_ in scores],
        totals={"gold": gold, "found": found, "right": right, "sentences": len(judged)},
        matrix=[(a, [pairs[a, b] for b in (*types, NONE)]) for a in (*types, NONE)],
        nothing=NONE,
        kinds=by_kind(judged, types),
        by_length=by_bin(judged, length, params.length_bins),
        by_sentence=by_bin(judged, lambda s, _: len(s.cells), params.sentence_length_bins),
        by_frequency=by_bin(judged, frequency(in_train), params.frequency_bins),
        slices=[{"name": name, **row} for name, row in metrics.get("slices", {}).items()],
        robustness=[{"name": name, **row} for name, row in metrics.get("robustness", {}).items()],
        reliability=reliability,
        reliability_plot=reliability_plot(reliability),
        thresholds=at_thresholds(judged, params.thresholds),
        curves=learning_curves(curve),
        worst=worst(judged, params.errors),
        wrong=sum(bool(sentence.mistakes) for sentence in judged),
        meanings=KINDS,
        source=json.loads(source.read_text(encoding="utf-8")),
        align=json.loads(align.read_text(encoding="utf-8")),
    )
