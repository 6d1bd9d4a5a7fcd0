from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from datasets import Features, List, Value
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.pre_tokenizers import Metaspace

from stages.text import sentence, windows_writer
from stages.text.labels import Labels, iob2_tags
from stages.text.sentence import Sentence, as_batches
from stages.text.tokens import CellEncoder
from stages.text.windows_table import read_aligned
from stages.text.windows_writer import write_aligned

TEXT = "李明在北京会见王芳"
TAGS = ("B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "O", "B-PER", "I-PER")
SENTENCES = [Sentence(TEXT, TAGS), Sentence("沪", ("B-LOC",)), Sentence(TEXT * 4, TAGS * 4)]


@pytest.fixture
def write(tmp_path):
    names = ["[UNK]", "[CLS]", "[SEP]", *sorted(set(TEXT))]
    tokenizer = Tokenizer(WordLevel({name: number for number, name in enumerate(names)}, names[0]))
    sizes = {"window_tokens": 16, "window_overlap_tokens": 4}

    def write(sentences, done=lambda _: None, tokenizer=tokenizer, types=("PER", "LOC")):
        labels = Labels(tags=iob2_tags(types), cls_id=1, sep_id=2, unknown_id=0, **sizes)
        path = tmp_path / "train.parquet"
        meta = any(sentence.meta for sentence in sentences)
        encode, batches = CellEncoder(tokenizer, 0), as_batches(sentences)
        return path, write_aligned(batches, labels, encode, path, meta, done)

    return write


@pytest.mark.parametrize(("types", "integer"), [(63, "int8"), (64, "int16"), (500, "int16")])
def test_labels_are_as_small_as_their_number_allows(write, types, integer):
    names = [f"T{number}" for number in range(types)]
    tags = (f"B-{names[0]}", "O", f"B-{names[-1]}", f"I-{names[-1]}")
    path, figures = write([Sentence("李在北京", tags)], types=names)
    assert str(pq.read_schema(path).field("labels").type.value_type) == integer
    split = read_aligned(path)
    assert split.labels[0].dtype == integer
    assert split.sentence_labels()[0].tolist() == [1, 0, 2 * types - 1, 2 * types]
    assert figures["entities_kept"] == 2


@pytest.mark.parametrize("at_once", [1, 2, 3, 7])
def test_however_many_at_once_the_file_and_the_figures_are_the_same(write, monkeypatch, at_once):
    path, figures = write(SENTENCES * 2)
    expected = path.read_bytes()
    monkeypatch.setattr(sentence, "SENTENCES_AT_ONCE", at_once)
    lots = []
    path, again = write(SENTENCES * 2, lots.append)
    assert (path.read_bytes(), again) == (expected, figures)
    assert sum(lots) == 6
    assert max(lots) == min(at_once, 6)
    assert pq.read_table(path)["sentence"].to_pylist() == [0, 1, 2, 2, 2, 2, 3, 4, 5, 5, 5, 5]
    assert figures == {
        "sentences": 6,
        "characters": 92,
        "entities_in": 32,
        "entities_kept": 32,
        "entities": {"LOC": 12, "PER": 20},
        "unknown_rate": 2 / 92,
        "unknown_most": [["沪", 2]],
        "windows": 12,
        "windowed_sentences": 2,
        "longest_tokens": 36,
    }


def test_a_space_before_each_character_would_hide_that_it_is_unknown(write):
    """XLM-R encodes a text of an unknown character as a known "▁" and <unk>."""
    names = ["<unk>", "<s>", "</s>", "▁", *sorted(set(TEXT) - {"王"})]
    tokenizer = Tokenizer(Unigram([(name, -1.0) for name in names], 0, False))
    tokenizer.pre_tokenizer = Metaspace()
    assert tokenizer.encode("王").ids == [3, 0]
    _, figures = write(SENTENCES, tokenizer=tokenizer)
    assert figures["unknown_rate"] == 6 / 46
    assert figures["unknown_most"] == [["王", 5], ["沪", 1]]


def test_what_else_the_corpus_says_of_a_sentence_stands_in_each_of_its_windows(write):
    path, _ = write(SENTENCES)
    assert "meta" not in pq.read_schema(path).names
    some = [SENTENCES[1], replace(SENTENCES[2], meta='{"source": "报"}')]
    path, _ = write(some)
    assert pq.read_table(path)["meta"].to_pylist() == ["{}", *['{"source": "报"}'] * 4]
    assert read_aligned(path).sentence_meta() == [{}, {"source": "报"}]


def test_a_reader_need_not_have_all_rows(write, monkeypatch):
    monkeypatch.setattr(sentence, "SENTENCES_AT_ONCE", 7)
    monkeypatch.setattr(windows_writer, "ROW_GROUP", 20)
    path, _ = write(SENTENCES[:1] * 50)
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [21, 21, 8]


def test_datasets_knows_the_columns(write):
    path, _ = write(SENTENCES)
    features = Features.from_arrow_schema(pq.read_schema(path))
    assert features == Features(
        sentence=Value("int32"),
        cells=List(Value("string")),
        input_ids=List(Value("int32")),
        labels=List(Value("int8")),
    )
