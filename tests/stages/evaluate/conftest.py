"""The tiny job's test split evaluated, and counted in another way."""

import csv
import json

import pytest

from stages.evaluate import Outs, evaluate
from stages.report.report import StageReports
from stages.serving.tagger import Tagger
from tests.invented import entities_of, text_of

REPORTS = [
    "metrics.json",
    "calibration.json",
    "errors.jsonl",
    "confusion.csv",
    "f1_by_length.csv",
    "reliability.csv",
    "index.html",
    "slices.jsonl",
]


@pytest.fixture(scope="module")
def found(tiny):
    """Per test sentence what the exported model finds, by the tagger: another way to the tags."""
    texts = [text_of(sentence) for sentence in tiny.test]
    return [{(e.start, e.end, e.type) for e in row} for row in Tagger(tiny.onnx, 1)(texts)]


@pytest.fixture(scope="module")
def gold(tiny):
    return [set(entities_of(sentence)) for sentence in tiny.test]


@pytest.fixture
def scored(tiny, tmp_path):
    """Evaluates with changed parameters or on other data; gives the reports."""

    def scored(aligned=tiny.aligned, model=tiny.ner, **changes):
        params = tiny.params.evaluate.model_copy(update=changes)
        reports = StageReports(
            tiny.path / "data/corpus/source.json",
            *map(tiny.report, ["align.json", "train.csv"]),
        )
        outs = Outs(*(tmp_path / name for name in REPORTS))
        measured = evaluate(params, model, aligned, reports, outs)
        assert measured["device"] == "cpu"
        return {name: (tmp_path / name).read_bytes() for name in REPORTS}

    return scored


def rows(tiny, name):
    with tiny.report(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def jsonl(data):
    return [json.loads(line) for line in data.decode().split("\n")[:-1]]


def counts(gold, found, keep):
    triples = [(g, f, g & f) for g, f in zip(gold, found, strict=True)]
    return [sum(keep(s) for sets in triples for s in sets[column]) for column in range(3)]


def figures(n_gold, n_found, n_right):
    precision, recall = n_right / n_found, n_right / n_gold
    return {
        "precision": pytest.approx(precision),
        "recall": pytest.approx(recall),
        "f1": pytest.approx(2 * precision * recall / (precision + recall)),
        "support": n_gold,
    }
