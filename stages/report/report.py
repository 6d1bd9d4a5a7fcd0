"""Writes reports/index.html, the page of `evaluate`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stages.params.evaluate import Bootstrap, Evaluate
from stages.report.advice import advice
from stages.report.colours import colours
from stages.report.digits import score
from stages.report.page import page
from stages.report.plots import learning_curves, reliability_plot
from stages.report.warnings import warnings
from stages.report.worst import worst
from stages.scoring.calibration import at_thresholds
from stages.scoring.groups import Row, by_bin, by_kind, confusion, frequency, length, with_figures
from stages.scoring.in_train import InTrain
from stages.scoring.mistakes import KINDS, Judged
from stages.scoring.slices import Members, slice_counts
from stages.scoring.spans import Counts, SparseCounts, counts
from stages.scoring.temperature import Calibration

NONE = "none"  # no entity at that span
COLUMNS = 20  # types beside each other in a table


@dataclass(frozen=True)
class Results:
    """The figures of `evaluate`."""

    judged: Sequence[Judged]
    """The test sentences."""
    types: Sequence[str]
    """All entity types of the model, in the order of its labels."""
    metrics: Mapping[str, Any]
    """The content of metrics.json: `test`, `passed`; `robustness` may be missing."""
    reliability: Sequence[Row]
    """`stages.scoring.calibration.reliability` of `judged`."""
    calibration: Calibration
    """By dev; that of the confidences in `judged`."""
    in_train: InTrain
    """How many entities train has of each text and type."""
    slices: Sequence[Members]
    """The sentences of each slice of `metrics`."""
    device: str
    """The kind of device that scored: cpu or cuda. Two of a kind give the same bytes."""


@dataclass(frozen=True)
class StageReports:
    """What the stages before `evaluate` reported."""

    source: Path
    """The corpus and its files, by `download`."""
    align: Path
    """Counts, by `align`."""
    curve: Path
    """Loss and dev F1 by step, by `train`."""


def report(params: Evaluate, results: Results, reports: StageReports) -> str:
    """The page; the same bytes for the same figures."""
    test = results.metrics["test"]
    interval = (test["f1_low"], test["f1_high"])
    source, align = (
        json.loads(path.read_text(encoding="utf-8")) for path in (reports.source, reports.align)
    )
    values = {
        **_overall(params, results),
        **_mistakes(params, results),
        **_parts(params, results),
        "reliability": results.reliability,
        "reliability_plot": reliability_plot(results.reliability),
        "calibration": _calibration(params, results),
        "thresholds": at_thresholds(results.judged, params.thresholds),
        "curves": learning_curves(reports.curve),
        "source": source,
        "align": align,
        "warnings": warnings(test, results.types, align, source),
        "advice": advice(results.judged, results.in_train, partial(score, interval=interval)),
    }
    return page(Path(__file__).with_name("report.html"), values, interval)


def _overall(params: Evaluate, results: Results) -> dict[str, Any]:
    scores = results.metrics["test"]
    of_types = scores["types"]
    gold, predicted, hits = counts(results.judged).sum(axis=0).tolist()
    return {
        "test": scores,
        "totals": {
            "gold": gold,
            "predicted": predicted,
            "hits": hits,
            "sentences": len(results.judged),
        },
        "level": params.bootstrap.confidence,
        "samples": params.bootstrap.samples,
        "device": results.device,
        "types": results.types,
        "colours": colours(results.types),
        "by_type": [
            {
                "name": type_,
                **of_types[type_],
                "interval": (of_types[type_]["f1_low"], of_types[type_]["f1_high"]),
            }
            for type_ in results.types
            if type_ in of_types
        ],
    }


def _mistakes(params: Evaluate, results: Results) -> dict[str, Any]:
    judged, columns = results.judged, _columns(results)
    names = [*columns, NONE]
    at_same_span = Counter(confusion(judged, NONE))
    return {
        "columns": columns,
        "kinds": by_kind(judged, columns),
        "meanings": KINDS,
        "matrix": [(gold, [at_same_span[gold, other] for other in names]) for gold in names],
        "nothing": NONE,
        "worst": worst(judged, params.errors),
        "wrong": sum(bool(sentence.mistakes) for sentence in judged),
    }


def _columns(results: Results) -> list[str]:
    """The types that have a column of their own: of many those with the most mistakes."""
    mistakes = Counter(each.span.type for s in results.judged for each in s.mistakes)
    most = sorted(results.types, key=lambda type_: -mistakes[type_])[:COLUMNS]
    return [type_ for type_ in results.types if type_ in most]


def _parts(params: Evaluate, results: Results) -> dict[str, Any]:
    """Scores of some of the entities or sentences."""
    judged, metrics = results.judged, results.metrics
    bins = partial(by_bin, judged, bootstrap=params.bootstrap)
    return {
        "by_length": bins(length, params.length_bins),
        "by_sentence": bins(lambda s, _: len(s.cells), params.sentence_length_bins),
        "by_frequency": bins(frequency(results.in_train), params.frequency_bins),
        "slices": [
            _slice(each, found, params.bootstrap)
            for each, found in slice_counts(results.slices, judged)
        ],
        "robustness": [
            {"name": name, **row} for name, row in metrics.get("robustness", {}).items()
        ],
    }


def _calibration(params: Evaluate, results: Results) -> dict[str, Any]:
    """Each type's temperature and threshold, and the test entities that pass."""
    nothing = {"precision": None, "recall": None}
    of_test = results.metrics["passed"]["types"]
    types = results.calibration.types
    return {
        "target": params.calibration.target_precision,
        "types": [
            {"name": type_, **vars(types[type_]), "test": of_test.get(type_, nothing)}
            for type_ in results.types
        ],
    }


def _slice(members: Members, found: Counts, bootstrap: Bootstrap) -> Row:
    group = {members.slice: SparseCounts.of(found)}
    [row] = with_figures(group, bootstrap if len(found) else None)
    return {"interval": None, **row, "sentences": len(found)}
