"""The real corpus with the real encoder, where there is one."""

import pytest

from stages.corpus.formats.read import read_corpus
from stages.params.align import Align
from tests.stages.tiny import PARAMS, align_text

# ../shared/msra/README.md
TEST = {"LOC": 2886, "ORG": 1331, "PER": 1973}
TRAIN = {"LOC": 36517, "ORG": 20571, "PER": 17615}


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    def text(name):
        return (shared / f"msra/msra_{name}_bio.txt").read_text(encoding="utf-8")

    return align_text(
        tmp_path_factory.mktemp("real"),
        shared / "encoders/minilm-zh-char",
        text("test"),
        text("train"),
        dev_sentences=2500,
        dev_block_sentences=50,
        window_tokens=128,
        window_overlap_tokens=48,
    )


def test_counts(real):
    figures = real.report
    assert figures["repaired"] == {"train": {"stray_i": 6}, "test": {}}
    assert figures["test"]["sentences"] == 3442
    assert figures["test"]["entities"] == TEST
    train, dev = figures["train"], figures["dev"]
    assert train["sentences"] + dev["sentences"] == 50658
    assert 2500 <= dev["sentences"] <= 2550
    repaired = sum(train["entities"].values()) + sum(dev["entities"].values())
    assert repaired == sum(TRAIN.values()) + 6
    for split in (train, dev, figures["test"]):
        assert split["entities_in"] == split["entities_kept"] == sum(split["entities"].values())
        assert split["unknown_rate"] < 0.01


def test_the_windows_give_back_the_test_split(real, shared):
    corpus = read_corpus(
        shared / "msra/msra_test_bio.txt", Align.model_validate(PARAMS), repair=False
    )
    assert real.sentences("test") == [
        list(zip(sentence.cells, sentence.tags, strict=True)) for sentence in corpus.sentences
    ]


def test_nothing_is_longer_than_a_window_and_little_is_unknown(real):
    test = real.splits["test"]
    assert max(map(len, test.input_ids)) == 128
    assert max(map(len, test.sentence_cells())) == 2427
    assert sum(len(cells) > 126 for cells in test.sentence_cells()) == 133
    assert real.report["test"]["windows"] > 3442 + 133
    assert max(map(len, real.splits["train"].input_ids)) <= 128


def test_no_sentence_on_two_sides(real):
    texts = {
        name: {"".join(cells) for cells in split.sentence_cells()}
        for name, split in real.splits.items()
    }
    assert not texts["train"] & texts["dev"]
    assert not texts["test"] & (texts["train"] | texts["dev"])
