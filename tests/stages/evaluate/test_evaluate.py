from collections import Counter

import pytest

from stages.contract.errors import StageError
from stages.serving.tagger import Tagger
from tests.invented import text_of
from tests.stage_process import files
from tests.stages.evaluate.conftest import REPORTS, counts, figures, rows


def test_the_command_leaves_these_reports(tiny):
    assert sorted(files(tiny.path / "reports")) == sorted(
        [*REPORTS, "align.json", "train.json", "train.csv", "export.json", "predictions.jsonl"]
    )


def test_the_metrics_are_those_of_an_independent_count(tiny, gold, found):
    metrics = tiny.json("metrics.json")
    by_type = {
        type_: figures(*counts(gold, found, lambda s, type_=type_: s[2] == type_))
        for type_ in ("PER", "ORG", "LOC")
    }
    test = metrics["test"]
    for row in (test, *(test["types"][type_] for type_ in by_type)):
        assert 0 < row.pop("f1_low") < row["f1"] < row.pop("f1_high") <= 1
    assert 0 < test.pop("ece") < 0.1
    assert 0 < test.pop("ece_uncalibrated") < 0.5
    assert metrics["test"] == figures(*counts(gold, found, lambda _: True)) | {"types": by_type}
    assert test["f1"] > 0.5


def test_no_entity_of_the_corpus_is_left_out(tiny, gold):
    raw = (tiny.path / "data/corpus/test.txt").read_text(encoding="utf-8")
    assert tiny.json("metrics.json")["test"]["support"] == raw.count("\tB-") == sum(map(len, gold))
    assert [len(sentence) for sentence in tiny.test[:2]] == [600, 2500]
    assert min(len(entities) for entities in gold[:2]) > 90  # in windows of 62 characters


def test_the_confusion_adds_up(tiny, gold, found):
    table = Counter((row["gold"], row["predicted"]) for row in rows(tiny, "confusion.csv"))
    for type_ in ("PER", "ORG", "LOC"):
        n_gold, n_found, n_right = counts(gold, found, lambda s, type_=type_: s[2] == type_)
        assert sum(n for (of, _), n in table.items() if of == type_) == n_gold
        assert sum(n for (_, as_), n in table.items() if as_ == type_) == n_found
        assert table[type_, type_] == n_right
    assert table["none", "none"] == 0
    assert {name for pair in table for name in pair} <= {"PER", "ORG", "LOC", "none"}


def test_f1_by_length(tiny, gold, found):
    bins = {"01": range(1, 2), "02": range(2, 3), "03-09": range(3, 10), "10+": range(10, 99)}
    expected = []
    for name, lengths in bins.items():
        n_gold, n_found, n_right = counts(gold, found, lambda s, r=lengths: s[1] - s[0] in r)
        if n_gold + n_found:
            expected.append((name, pytest.approx(2 * n_right / (n_gold + n_found)), n_gold))
    table = rows(tiny, "f1_by_length.csv")
    assert [(row["length"], float(row["f1"]), int(row["support"])) for row in table] == expected
    assert len(expected) > 1


def test_the_reliability(tiny, found):
    table = rows(tiny, "reliability.csv")
    assert sum(int(row["support"]) for row in table) == sum(map(len, found))
    for row in table:
        assert float(row["low"]) <= float(row["confidence"]) <= float(row["high"])


def test_the_same_bytes_twice_whatever_the_batches(tiny, scored):
    reports = scored()
    assert reports == {name: tiny.report(name).read_bytes() for name in REPORTS}
    assert scored(tokens_per_batch=200)["metrics.json"] == reports["metrics.json"]


def test_a_model_that_is_not_there(scored, tmp_path):
    with pytest.raises(StageError, match="holds no model"):
        scored(model=tmp_path / "none")
    assert files(tmp_path) == {}


def test_cuda_that_is_not_there(scored, tmp_path, cpu_only):
    with pytest.raises(StageError, match=r"^evaluate\.device asks for CUDA"):
        scored(device="cuda")
    assert files(tmp_path) == {}


def test_the_served_scores_are_those_of_the_report(tiny, gold):
    """And `passed` of metrics.json counts the entities that have passed by the served model."""
    answers = Tagger(tiny.onnx, 1)([text_of(sentence) for sentence in tiny.test])
    scores = [entity.score for row in answers for entity in row]
    bins = [(int(b["support"]), float(b["confidence"])) for b in rows(tiny, "reliability.csv")]
    assert sum(n for n, _ in bins) == len(scores)
    assert sum(n * mean for n, mean in bins) == pytest.approx(sum(scores), rel=1e-4)
    sure = [{(e.start, e.end, e.type) for e in row if e.passed} for row in answers]
    assert 0 < sum(map(len, sure)) < len(scores)
    passed = tiny.json("metrics.json")["passed"]
    assert passed.pop("types").keys() == {"PER", "ORG", "LOC"}
    assert passed == figures(*counts(gold, sure, lambda _: True))
