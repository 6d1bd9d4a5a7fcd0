import json
import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer

from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from tests.stages.tiny import FILLER, SPECIAL, TAGS, align_text, tagged, write_encoder

FILES = {
    "data/aligned/dev.parquet",
    "data/aligned/labels.json",
    "data/aligned/test.parquet",
    "data/aligned/train.parquet",
    "reports/align.json",
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="module")
def tokenizer(encoder):
    return AutoTokenizer.from_pretrained(encoder)


@pytest.fixture
def run(tmp_path, encoder):
    def run(*arguments, **changes):
        return align_text(tmp_path, encoder, *arguments, **changes)

    return run


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_leaves_these_files(run, tmp_path):
    run()
    assert files(tmp_path) == FILES | {"data/corpus/test.txt", "data/corpus/train.txt"}


def test_schema_and_labels(run):
    result = run()
    for name in ("train", "dev", "test"):
        assert pq.read_schema(result.folder / f"{name}.parquet").remove_metadata() == pa.schema(
            {
                "sentence": pa.int32(),
                "cells": pa.list_(pa.string()),
                "input_ids": pa.list_(pa.int32()),
                "labels": pa.list_(pa.int8()),
            }
        )
    assert result.labels == Labels(
        tags=TAGS,
        window_tokens=32,
        window_overlap_tokens=8,
        cls_id=SPECIAL.index("[CLS]"),
        sep_id=SPECIAL.index("[SEP]"),
        unknown_id=SPECIAL.index("[UNK]"),
    )


def test_the_report(run):
    train = [tagged("张三去", (0, 2, "PER")), tagged("北京", (0, 2, "LOC")), *FILLER]
    test = [tagged("在北京大学沪", (1, 5, "ORG"), (5, 6, "LOC")), tagged("1")]
    result = run(test, train, dev_sentences=1, window_tokens=8, window_overlap_tokens=1)
    figures = result.report
    assert list(figures) == ["repaired", "repaired_first", "train", "dev", "test", "warnings"]
    assert figures["repaired"] == figures["repaired_first"] == {"train": {}, "test": {}}
    assert figures["test"] == {
        "sentences": 2,
        "characters": 7,
        "entities_in": 2,
        "entities_kept": 2,
        "entities": {"LOC": 1, "ORG": 1},
        "unknown_rate": 1 / 7,
        "unknown_most": [["沪", 1]],
        "windows": 2,
        "windowed_sentences": 0,
        "longest_tokens": 6,
    }
    assert figures["train"]["sentences"] + figures["dev"]["sentences"] == 7
    assert figures["train"]["characters"] + figures["dev"]["characters"] == 10


# The cells of a sentence, tagged B-PER I-PER I-PER ..., and their tokens with the tiny encoder.
SENTENCES = {
    "digits": ("2006", "2 0 0 6"),
    "Latin": ("aBc", "a b c"),
    "full-width": ("７Ｑ％", "7 q %"),
    "U+3000": ("张\u3000三", "张 [UNK] 三"),
    "U+3000 at both ends": ("\u3000三\u3000", "[UNK] 三 [UNK]"),
    "zero-width": ("张\u200b\u200d三\ufeff", "张 [UNK] [UNK] 三 [UNK]"),
    "line separators": ("张\u2028\x85三", "张 [UNK] [UNK] 三"),
    "emoji": ("👨\u200d👩三😀", "[UNK] [UNK] [UNK] 三 [UNK]"),
    "combining": ("e\u0301三", "e [UNK] 三"),
    "several tokens": ("㎞三½…", "k m 三 1 ⁄ 2 . . ."),
}


@pytest.mark.parametrize(("cells", "tokens"), SENTENCES.values(), ids=SENTENCES)
def test_labels_stand_where_they_belong(run, tokenizer, cells, tokens):
    result = run([tagged(cells, (0, len(cells), "PER"))])
    split = result.splits["test"]
    assert split.cells == [list(cells)]
    [ids], [labels] = split.input_ids, split.labels
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", *tokens.split(), "[SEP]"]
    expected = []
    for cell in cells:
        rest = len(unicodedata.normalize("NFKC", cell)) - 1
        expected += [TAGS.index("I-PER" if expected else "B-PER"), *[IGNORED] * rest]
    assert labels.tolist() == [IGNORED, *expected, IGNORED]
    assert result.report["test"]["entities_kept"] == result.report["test"]["entities_in"] == 1


STRAY = "京\tI-LOC\n大\tI-LOC\n\n1\tI-PER\n"


def test_stray_tags_in_test_are_refused_or_repaired_and_listed_first(run, tmp_path):
    with pytest.raises(StageError, match=r"/corpus/test.txt:1: I-LOC follows neither B-LOC nor"):
        run(STRAY)
    assert not FILES & files(tmp_path)
    result = run(STRAY, repair_test_tags=True)
    assert next(iter(result.report.items())) == ("repaired", {"train": {}, "test": {"stray_i": 2}})
    assert result.sentences("test") == [[("京", "B-LOC"), ("大", "I-LOC")], [("1", "B-PER")]]
    assert result.report["test"]["entities_in"] == result.report["test"]["entities_kept"] == 2


def test_repairs_are_shown_with_their_first_places(run, tmp_path, capsys):
    report = run(FILLER, STRAY + "\n2\tO\n\tO\n3\tO\n\n4\tO\n\n5\tO\n").report
    train = tmp_path / "data/corpus/train.txt"
    assert report["repaired_first"]["train"] == {
        "stray_i": [f"{train}:1", f"{train}:4"],
        "empty_token": [f"{train}:7"],
    }
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"align: train: repaired 2 x stray_i, first at {train}:1, {train}:4",
        f"align: train: repaired 1 x empty_token, first at {train}:7",
    ]


def test_stray_tags_in_train_are_repaired_and_so_are_line_ends(run):
    train = "\ufeff" + STRAY.replace("\n", "\r\n") + "\r\n2\tO\r\n\r\n3\tO\r\n \r\n"
    report = run(FILLER, train).report
    assert report["repaired"] == {
        "train": {"bom": 1, "crlf": 9, "stray_i": 2, "blank": 1},
        "test": {},
    }
    assert report["train"]["entities_in"] + report["dev"]["entities_in"] == 2


def test_malformed_input_keeps_what_was_there(run, tmp_path):
    run()
    bytes_before = {path: (tmp_path / path).read_bytes() for path in FILES}
    for text, line in (("京\tB-ORGAN\n", 1), ("京\tO\n\n京 O\n", 3)):
        with pytest.raises(StageError, match=rf"/data/corpus/train.txt:{line}: "):
            run(FILLER, text)
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == bytes_before


def test_no_encoder(tmp_path):
    nowhere = tmp_path / "data/encoder"
    with pytest.raises(StageError) as error:
        align_text(tmp_path, nowhere)
    assert str(error.value) == f"there is no encoder in {nowhere}: run `dvc repro download` first"
    assert not FILES & files(tmp_path)


def test_a_window_that_is_more_than_the_encoder_takes(tmp_path):
    encoder = write_encoder(tmp_path / "bert", max_position_embeddings=31)
    with pytest.raises(StageError) as error:
        align_text(tmp_path, encoder)
    assert str(error.value) == (
        f"align.window_tokens is 32, but the encoder in {encoder} takes at most 31 tokens; lower it"
    )
    assert align_text(tmp_path, encoder, window_tokens=31).report["test"]["windows"] == 5


def test_where_a_tokenizer_would_cut_a_text_off_limits_no_window(tmp_path):
    """Sentence encoders and models with relative positions have a number far below theirs."""
    encoder = write_encoder(tmp_path / "bert")
    file = encoder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 10}))
    text = [tagged("张三" * 10)]
    assert align_text(tmp_path, encoder, test=text).report["test"]["windows"] == 1


def test_a_window_of_all_positions_of_roberta(tmp_path):
    """Its positions begin after padding's id, so two are lost."""
    sizes = {"model_type": "roberta", "pad_token_id": 1, "hidden_size": 48, "vocab_size": 99}
    encoder = write_encoder(tmp_path / "roberta", max_position_embeddings=34, **sizes)
    assert align_text(tmp_path, encoder).report["test"]["windows"] == 5
    with pytest.raises(StageError, match=r"window_tokens is 34, but .* takes at most 32 tokens"):
        align_text(tmp_path, encoder, window_tokens=34)


def test_a_tokenizer_without_special_tokens(tmp_path):
    encoder = write_encoder(tmp_path / "bert")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (encoder / name).unlink()
    Tokenizer(WordLevel({"a": 0, "b": 1})).save(str(encoder / "tokenizer.json"))
    (encoder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(StageError) as error:
        align_text(tmp_path, encoder)
    assert str(error.value) == (
        f"the tokenizer in {encoder} lacks [CLS], [SEP], [UNK]; choose another encoder"
    )
