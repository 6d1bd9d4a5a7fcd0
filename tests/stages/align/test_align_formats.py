"""Corpora in other formats and languages, aligned."""

import json

import pytest
from transformers import AutoTokenizer

from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from stages.text.windows_table import read_aligned
from tests.stages.english import write_english_encoder
from tests.stages.tiny import FILLER, align_text, tagged, write_encoder

WORDS = {
    "cells": "words",
    "conll": {"columns": ["token", "tag"], "separator": " ", "comment": None},
    "types": None,
}
TRAIN = "Ann B-PER\nmet O\n\nBo B-PER\n\nin O\nLumo B-LOC\n"


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    return write_english_encoder(tmp_path_factory.mktemp("english") / "bert")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("tiny") / "bert")


def test_words_of_several_tokens(tmp_path, english):
    test = "The O\nLumians-Bobby B-PER\nLumo I-PER\n. O\n"
    result = align_text(tmp_path, english, test, TRAIN, **WORDS, dev_sentences=1)
    split = result.splits["test"]
    assert split.cells == [["The", " Lumians", "-", "Bobby", " Lumo", " ."]]
    [ids], [labels] = split.input_ids, split.labels
    tokens = AutoTokenizer.from_pretrained(english).convert_ids_to_tokens(ids)
    tags = result.labels.tags
    assert [
        (token, tags[label] if label != IGNORED else None)
        for token, label in zip(tokens, labels, strict=True)
    ] == [
        ("[CLS]", None),
        ("the", "O"),
        ("lum", "B-PER"),
        ("##ians", None),
        ("[UNK]", "I-PER"),  # of several pieces, but the vocabulary has no hyphen
        ("bo", "I-PER"),
        ("##bby", None),
        ("lum", "I-PER"),
        ("##o", None),
        (".", "O"),
        ("[SEP]", None),
    ]
    assert result.report["test"] | {"windows": 1} == {
        "sentences": 1,
        "words": 6,
        "entities_in": 1,
        "entities_kept": 1,
        "entities": {"PER": 1},
        "unknown_rate": 1 / 6,
        "unknown_most": [["-", 1]],
        "windows": 1,
        "windowed_sentences": 0,
        "longest_tokens": 9,
    }


def test_types_of_the_corpus(tmp_path, english):
    """Of all splits: an entity of test alone would be lost else."""
    result = align_text(tmp_path, english, "Port B-ZOO\n", TRAIN, **WORDS, dev_sentences=1)
    assert result.labels == Labels(
        tags=["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-ZOO", "I-ZOO"],
        window_tokens=32,
        window_overlap_tokens=8,
        cls_id=2,
        sep_id=3,
        unknown_id=1,
        cells="words",
    )


@pytest.mark.parametrize(
    ("tags", "count"),
    [(["O"], "0"), ([f"B-T{n}" for n in range(501)], "501")],
    ids=["none", "many"],
)
def test_too_many_types_or_none(tmp_path, encoder, tags, count):
    train = [[("1", tag)] for tag in tags]
    with pytest.raises(StageError, match=rf"the corpus has {count} entity types .*1 to 500; check"):
        align_text(tmp_path, encoder, train, [*train, *FILLER], types=None)


def test_a_dev_split_of_its_own(tmp_path, encoder):
    (tmp_path / "data/corpus").mkdir(parents=True)
    (tmp_path / "data/corpus/dev.txt").write_text("北\tI-LOC\n", encoding="utf-8")
    train = [tagged("张三", (0, 2, "PER"))]  # too few to hold any out
    result = align_text(tmp_path, encoder, train, train)
    assert result.sentences("dev") == [[("北", "B-LOC")]]
    assert result.sentences("train") == train
    assert result.report["repaired"] == {"train": {}, "dev": {"stray_i": 1}, "test": {}}


def test_what_else_a_corpus_says_goes_along(tmp_path, encoder):
    train = "".join(
        json.dumps({"text": f"{n}" * 40, "label": [[0, 1, "LOC"]], "year": 1998 + n}) + "\n"
        for n in range(3)
    )
    align_text(tmp_path, encoder, train, train, format="jsonl")
    split = read_aligned(tmp_path / "data/aligned/test.parquet")
    assert split.sentence == [0, 0, 1, 1, 2, 2]
    assert split.sentence_meta() == [{"year": 1998}, {"year": 1999}, {"year": 2000}]
