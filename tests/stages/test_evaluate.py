import csv
import json
import re
import shutil
from collections import Counter

import pytest

from stages.errors import StageError
from stages.evaluate import evaluate
from stages.ner.tagger import Tagger
from stages.params_evaluate import Slice
from tests.invented import entities_of, text_of
from tests.stage_process import files
from tests.tiny import write_aligned

REPORTS = [
    "metrics.json",
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
        given = [
            tiny.path / "data/msra/source.json",
            *map(tiny.report, ["align.json", "train.csv"]),
        ]
        measured = evaluate(params, model, aligned, *given, *(tmp_path / name for name in REPORTS))
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
    for row in (test, *(test[type_] for type_ in by_type)):
        assert 0 < row.pop("f1_low") < row["f1"] < row.pop("f1_high") <= 1
    assert 0 < test.pop("ece") < 0.5
    assert metrics["test"] == figures(*counts(gold, found, lambda _: True)) | by_type
    assert test["f1"] > 0.5


def test_no_entity_of_the_corpus_is_left_out(tiny, gold):
    raw = (tiny.path / "data/msra/test.txt").read_text(encoding="utf-8")
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


def test_the_most_confident_errors(tiny, gold, found, scored):
    texts = [text_of(sentence) for sentence in tiny.test]
    errors = jsonl(scored(errors=9999)["errors.jsonl"])
    assert len(errors) == sum(len(g ^ f) for g, f in zip(gold, found, strict=True)) > 3
    confidences = [error["confidence"] for error in errors]
    assert confidences == sorted(confidences, reverse=True)
    assert 0 < min(confidences) < max(confidences) <= 1
    for error in errors:
        index = texts.index(error["sentence"])
        span = (error["start"], error["end"], error["type"])
        assert error["sentence"][error["start"] : error["end"]] == error["text"]
        assert (span in gold[index], span in found[index]) == (
            (True, False) if error["side"] == "gold" else (False, True)
        )
    assert jsonl(tiny.report("errors.jsonl").read_bytes()) == errors[: tiny.params.evaluate.errors]


def test_the_kinds_of_errors(tiny, gold, found, scored, tmp_path):
    # A sentence that the model gets right, of which then the gold is changed.
    index = next(
        i
        for i, sentence in enumerate(tiny.test)
        if gold[i] == found[i] and "说" in text_of(sentence) and len(sentence) < 20
    )
    text = text_of(tiny.test[index])
    [per, loc, org] = sorted(gold[index])
    cases = [
        [(*per[:2], "ORG"), loc, org],  # type
        [per, (loc[0], loc[1] + 1, "LOC"), org],  # too short
        [per, loc],  # invented: org
        [per, loc, org, (len(text) - 2, len(text), "LOC")],  # missed: 很好
    ]
    sentences = []
    for spans in cases:
        tags = ["O"] * len(text)
        for start, end, type_ in spans:
            tags[start:end] = [f"B-{type_}", *[f"I-{type_}"] * (end - start - 1)]
        sentences.append(list(zip(text, tags, strict=True)))
    shutil.copytree(tiny.encoder, tmp_path / "data/encoder")
    write_aligned(tmp_path, tiny.params, tiny.test[2:] + tiny.test[2:], sentences)

    errors = jsonl(scored(aligned=tmp_path / "data/aligned", errors=99)["errors.jsonl"])

    def of(span):
        return {"text": text[span[0] : span[1]], "type": span[2]}

    def row(kind, side, span, against):
        given = {"kind": kind, "side": side, "start": span[0], "end": span[1], "sentence": text}
        return given | of(span) | {"against": [of(other) for other in against]}

    expected = [
        row("type", "predicted", per, [cases[0][0]]),
        row("type", "gold", cases[0][0], [per]),
        row("too_short", "predicted", loc, [cases[1][1]]),
        row("too_short", "gold", cases[1][1], [loc]),
        row("invented", "predicted", org, []),
        row("missed", "gold", cases[3][3], []),
    ]
    confidences = [error.pop("confidence") for error in errors]
    assert confidences == sorted(confidences, reverse=True)
    order = [json.dumps(error, sort_keys=True) for error in errors]
    assert sorted(order) == sorted(json.dumps(error, sort_keys=True) for error in expected)


def test_each_slice_has_scores_of_its_own(tiny, gold, found):
    texts = [text_of(sentence) for sentence in tiny.test]
    picked = {
        "long": ([0, 1], lambda _: True),
        "stars": ([n for n, text in enumerate(texts) if set("☆★") & set(text)], lambda _: True),
        "places_near_digits": (
            [n for n, t in enumerate(texts) if re.search("[0-9]", t) and len(t) < 600],
            lambda span: span[2] == "LOC",
        ),
    }
    expected = {
        name: figures(*counts([gold[n] for n in rows], [found[n] for n in rows], keep))
        | {"sentences": len(rows)}
        for name, (rows, keep) in picked.items()
    }
    assert tiny.json("metrics.json")["slices"] == expected
    assert all(row["support"] > 5 for row in expected.values())
    assert jsonl(tiny.report("slices.jsonl").read_bytes()) == [
        {"slice": name, "type": "LOC" if name.startswith("places") else None, "sentences": rows}
        for name, (rows, _) in sorted(picked.items())
    ]


def test_a_slice_that_asks_for_what_is_not_there(scored):
    for asked, said in (
        ({"type": "GPE"}, r"slices\.x\.type is GPE, but the labels know LOC, ORG, PER only"),
        ({"meta": {"year": "1998"}}, r"slices\.x\.meta asks for year, but the test split has no "),
    ):
        with pytest.raises(StageError, match=said):
            scored(slices={"x": Slice.model_validate(asked)})


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
