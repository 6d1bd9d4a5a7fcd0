"""The small inputs of `shared`/cases, each of a kind that once failed."""

import json

import pytest
import yaml

from stages.contract.errors import StageError
from stages.corpus.formats.read import read_corpus
from stages.fetching.encoder import check_parts
from tests.conftest import ROOT
from tests.stages.corpus.formats.conftest import align_params
from tests.stages.tiny import align_text


@pytest.fixture
def cases(shared):
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"{shared} has no cases")
    return folder


def test_comment_sign(cases):
    section = yaml.safe_load((cases / "comment-sign/a.yaml").read_text())["align"]
    corpus = read_corpus(cases / "comment-sign/en-train.txt", align_params(**section), repair=False)
    assert len(corpus.sentences) == 8
    assert corpus.sentences[0].cells[3:6] == (" #", " 1", " Gold")
    assert corpus.sentences[0].tags[3:6] == ("B-PRIZE", "I-PRIZE", "I-PRIZE")
    assert corpus.repairs.counts == {"comment_token": 8}


def test_parquet_map_column(cases):
    section = yaml.safe_load((cases / "parquet-map-column/own.yaml").read_text())["align"]
    params = align_params(**section)
    corpus = read_corpus(cases / "parquet-map-column/b.parquet", params, repair=False)
    assert corpus.sentences[0].cells == "李明来自北京。"
    assert {sentence.meta for sentence in corpus.sentences} == {None}


def test_vocabulary_with_ids(cases):
    with pytest.raises(StageError, match=r"vocab.txt line 1 is '\[PAD\]\\t0'"):
        check_parts(cases / "vocabulary-with-ids/encoder-c", "the folder")


def test_roberta_positions(cases, tmp_path):
    case = cases / "roberta-positions"
    texts = [(case / name).read_text(encoding="utf-8") for name in ("test.txt", "train.txt")]
    assert align_text(tmp_path, case / "encoder", *texts, window_tokens=64).report["test"]
    with pytest.raises(StageError, match=r"window_tokens is 66, .* takes at most 64 tokens; lower"):
        align_text(tmp_path, case / "encoder", *texts, window_tokens=66)


def test_numbers_as_one_token(cases, tmp_path):
    texts = [(cases / f"numbers-as-one-token/{n}.txt").read_text() for n in ("test", "train")]
    result = align_text(tmp_path, ROOT / "samples/encoder", *texts)
    for split in ("train", "test"):
        assert result.report["repaired"][split]["split_token"] > 100
    for name in ("train", "dev", "test"):
        figures = result.report[name]
        assert figures["entities_in"] == figures["entities_kept"]
    assert sum(result.report[name]["entities_in"] for name in ("train", "dev", "test")) == sum(
        text.count("\tB-") for text in texts
    )
    assert not any(" " in cell for row in result.sentences("test") for cell, _ in row)


def test_json_array(cases):
    path = cases / "json-array/c.jsonl"
    corpus = read_corpus(path, align_params(format="jsonl"), repair=False)
    assert [s.cells for s in corpus.sentences] == [r["text"] for r in json.loads(path.read_text())]


@pytest.mark.parametrize(("name", "type_"), [("c", "Work Of Art"), ("d", "R&D")])
def test_label_names(cases, name, type_):
    path = cases / f"label-names/{name}.txt"
    with pytest.raises(StageError, match=f"{name}.txt:1: the entity type '{type_}' is not letters"):
        read_corpus(path, align_params(), repair=True)
