"""Parquet as Hugging Face `datasets` writes it, to a folder or at the hub."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contract.errors import StageError
from stages.corpus.formats.read import read_corpus
from stages.text.sentence import Sentence
from tests.stages.corpus.formats.conftest import align_params
from tests.stages.corpus.spans import SCHEMES, TYPES, spans_of, tags_of

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
COLUMNS = {
    "id": ["0", "1", "2"],
    "tokens": [["Ann", "met", "Bo", "Li"], [], ["In", "Port", "Lumo"]],
    "ner_tags": [[1, 0, 1, 2], [], [0, 3, 4]],
    "domain": [1, None, 0],
}
FEATURES = Features(
    id=Value("string"),
    tokens=List(Value("string")),
    ner_tags=List(ClassLabel(names=NAMES)),
    domain=ClassLabel(names=["news", "mail"]),
)
SENTENCES = [
    Sentence(
        ("Ann", " met", " Bo", " Li"),
        ("B-PER", "O", "B-PER", "I-PER"),
        '{"id": "0", "domain": "mail"}',
    ),
    Sentence(("In", " Port", " Lumo"), ("O", "B-LOC", "I-LOC"), '{"id": "2", "domain": "news"}'),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.txt"


def read(path, repair=False, **changes):
    params = align_params(**{"format": "parquet", "cells": "words"} | changes)
    return read_corpus(path, params, repair)


def test_class_labels(path):
    Dataset.from_dict(COLUMNS, FEATURES).to_parquet(path)
    corpus = read(path)
    assert corpus.sentences == SENTENCES
    assert corpus.repairs.counts == {"empty": 1}


@pytest.mark.parametrize("cells", ["words", "characters"])
def test_empty_tokens_are_dropped(path, cells):
    pq.write_table(bare(tokens=[[""], ["b", ""]]), path)
    corpus = read(path, cells=cells)
    assert [("".join(s.cells), s.tags) for s in corpus.sentences] == [("b", ("O",))]
    assert corpus.repairs.counts == {"empty_token": 2, "empty": 1}
    assert corpus.repairs.first == {
        "empty_token": [f"{path}: row 0, token 0", f"{path}: row 1, token 1"],
        "empty": [f"{path}: row 0"],
    }


def test_texts_under_other_names(path):
    """Without what `datasets` says of the columns, as pandas writes it."""
    tags = [[NAMES[tag] for tag in row] for row in COLUMNS["ner_tags"]]
    pq.write_table(pa.table({"words": COLUMNS["tokens"], "tags": tags}), path)
    corpus = read(path, parquet={"tokens": "words", "tags": "tags"})
    assert [(s.cells, s.tags) for s in corpus.sentences] == [(s.cells, s.tags) for s in SENTENCES]
    assert {s.meta for s in corpus.sentences} == {None}


LIST = pa.list_(pa.string())
OTHERS = {
    "map": pa.array([[("paper", "a")], []], pa.map_(pa.string(), pa.string())),
    "views": pa.array([["a"], []], pa.list_view(pa.string())),
    "nested": pa.array([[{"a": [b"1"]}], None]),
}


@pytest.mark.parametrize("lists", [LIST, pa.large_list(pa.string_view())], ids=str)
def test_a_column_that_nobody_needs_is_not_read(path, lists):
    table = bare(**OTHERS, url=["x", "y"])
    for name in ("tokens", "ner_tags"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, table[name].cast(lists))
    # As a later version of `datasets` may describe it.
    features = {"map": {"_type": "Hologram"}, "url": {"_type": "Link", "dtype": "string"}}
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    table = table.append_column("map", OTHERS["map"]).replace_schema_metadata(described)
    pq.write_table(table, path)
    assert [s.cells for s in read(path).sentences] == [("a",), ("b", " c")]
    assert {s.meta for s in read(path).sentences} == {'{"url": "x"}', '{"url": "y"}'}


@given(data=st.data(), scheme=st.sampled_from(SCHEMES))
@settings(deadline=None, max_examples=40)
def test_there_and_back(tmp_path_factory, data, scheme):
    count = data.draw(st.integers(1, 9))
    spans = data.draw(spans_of(count))
    tags = tags_of(spans, count, scheme)
    names = sorted({tag for t in TYPES for n in (1, 3) for tag in tags_of([(0, n, t)], n, scheme)})
    names += [f"B-{type_}" for type_ in TYPES if scheme == "IOB1"]
    labels = ClassLabel(names=["O", *names])
    features = Features(tokens=List(Value("string")), ner_tags=List(labels))
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    row = {"tokens": [["京"] * count], "ner_tags": [labels.str2int(tags)]}
    Dataset.from_dict(row, features).to_parquet(path)
    [sentence] = read(path, cells="characters", scheme=scheme).sentences
    assert sentence == Sentence("京" * count, tuple(tags_of(spans, count, "BIO")))


def bare(**columns):
    return pa.table({"tokens": [["a"], ["b", "c"]], "ner_tags": [["O"], ["O", "O"]]} | columns)


# A table, and its error.
REFUSED = {
    "numbers": (bare(ner_tags=[[0], [0, 0]]), ": the numbers in 'ner_tags' have no names; write"),
    "no tags": (
        bare().rename_columns(["tokens", "tags"]),
        " has no list column 'ner_tags', its columns are to",
    ),
    "no tokens": (
        bare(tokens=["a", "b c"]),
        " has no list column 'tokens', its columns are tokens, ",
    ),
    "fewer": (bare(ner_tags=[["O"], ["O"]]), ": row 1 does not have one tag per token; correct it"),
    "views": (
        bare(tokens=OTHERS["views"]),
        ": 'tokens' and 'ner_tags' are not lists that `datasets` reads (Arrow type list_view<",
    ),
    "null": (bare(ner_tags=[["O"], ["O", None]]), ": row 1 does not have one tag per token; corr"),
    "a row of null": (bare(tokens=[None, ["b", "c"]]), ": row 0 does not have one tag per token; "),
    "unknown": (bare(ner_tags=[["O"], ["O", "S-X"]]), ": row 1, token 1: unknown tag 'S-X'; align"),
    "blank": (
        bare(tokens=[["a"], [" ", "c"]], ner_tags=[["O"], ["B-X", "O"]]),
        ": row 1, token 0: an empty token with the tag B-X; delete the token, or correct its tag",
    ),
}


@pytest.mark.parametrize(("table", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_row(path, table, message):
    pq.write_table(table, path)
    with pytest.raises(StageError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_a_label_without_a_name(path):
    table = Dataset.from_dict(COLUMNS, FEATURES).data.table
    wrong = pa.array([[1, 0, 1, 2], [], [0, 3, -1]], table.schema.field("ner_tags").type)
    pq.write_table(table.set_column(2, table.schema.field("ner_tags"), wrong), path)
    with pytest.raises(StageError, match="row 2 does not have one tag per token; correct it"):
        read(path)


def test_another_file(path):
    path.write_text("京\tO\n")
    with pytest.raises(StageError) as error:
        read(path)
    assert str(error.value).startswith(f"{path} is not Parquet (")
    assert str(error.value).endswith("); correct align.format")
    assert "\n" not in str(error.value)
