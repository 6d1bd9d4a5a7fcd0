"""The real corpus with the real encoder, where there is one."""

import unicodedata
from collections import Counter

import pytest

from stages.corpus.formats.read import read_corpus
from stages.params.align import Align
from tests.stages.tiny import PARAMS, align_text

# Of the canonical files, ../shared/msra/README.md.
FILES = {"train": "msra_train_canonical.txt", "test": "msra_test_bio.txt"}
SENTENCES = {"train": 45000, "test": 3442}
ENTITIES = {
    "train": {"LOC": 36860, "ORG": 20584, "PER": 17615},
    "test": {"LOC": 2886, "ORG": 1331, "PER": 1973},
}
EMPTY_TOKENS = 57  # in train: a tab and O, where mark-up lost its blank


@pytest.fixture(scope="module")
def corpora(shared):
    params = Align.model_validate(PARAMS)
    return {
        split: read_corpus(shared / "msra" / name, params, repair=False)
        for split, name in FILES.items()
    }


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    texts = {
        split: (shared / "msra" / name).read_text(encoding="utf-8") for split, name in FILES.items()
    }
    return align_text(
        tmp_path_factory.mktemp("real"),
        shared / "encoders/minilm-zh-char",
        texts["test"],
        texts["train"],
        dev_sentences=2500,
        dev_block_sentences=50,
        window_tokens=128,
        window_overlap_tokens=48,
    )


def test_counts(real):
    figures = real.report
    assert figures["repaired"] == {"train": {"empty_token": EMPTY_TOKENS}, "test": {}}
    first = figures["repaired_first"]["train"]["empty_token"]
    assert [place.partition("/data/corpus/")[2] for place in first] == [
        f"train.txt:{line}" for line in (15157, 57352, 287765)
    ]
    assert figures["test"]["sentences"] == SENTENCES["test"]
    assert figures["test"]["entities"] == ENTITIES["test"]
    train, dev = figures["train"], figures["dev"]
    assert train["sentences"] + dev["sentences"] == SENTENCES["train"]
    assert 2500 <= dev["sentences"] <= 2550
    assert dict(Counter(train["entities"]) + Counter(dev["entities"])) == ENTITIES["train"]
    for split in (train, dev, figures["test"]):
        assert split["entities_in"] == split["entities_kept"] == sum(split["entities"].values())
        assert split["unknown_rate"] < 0.01
    assert max(train["longest_tokens"], dev["longest_tokens"]) >= 746  # characters, or more
    assert figures["warnings"] == []


# What takes another path than a character that is one token, over the whole of each file.
SPECIAL = {
    "train": {
        "empty_token": EMPTY_TOKENS,
        "normalised to one other character": 172331,
        "normalised to several": 2692 + 710,
        "blank or invisible": 0,
        "outside the basic plane": 0,
        "longer than 126": 849,
        "longer than 510": 32,
        "longest": 746,
    },
    "test": {
        "empty_token": 0,
        "normalised to one other character": 12015,
        "normalised to several": 35,
        "blank or invisible": 0,
        "outside the basic plane": 0,
        "longer than 126": 133,
        "longer than 510": 4,
        "longest": 2427,
    },
}


@pytest.mark.slow  # 9 s
@pytest.mark.parametrize("split", FILES)
def test_what_takes_a_special_path(corpora, split):
    corpus = corpora[split]
    found = Counter(corpus.repairs.counts)
    for character, count in Counter("".join(s.cells for s in corpus.sentences)).items():
        normal = unicodedata.normalize("NFKC", character)
        if len(normal) > 1:
            found["normalised to several"] += count
        elif normal != character:
            found["normalised to one other character"] += count
        # Separators, and what is a control, a format, a mark or no character at all.
        if unicodedata.category(character)[0] in "ZCM":
            found["blank or invisible"] += count
        if ord(character) > 0xFFFF:
            found["outside the basic plane"] += count
    lengths = [len(sentence.cells) for sentence in corpus.sentences]
    for most in (126, 510):
        found[f"longer than {most}"] = sum(length > most for length in lengths)
    found["longest"] = max(lengths)
    assert {kind: found[kind] for kind in SPECIAL[split]} == SPECIAL[split]
    assert set(found) <= set(SPECIAL[split])  # no other repair
    tags = Counter(tag[2:] for s in corpus.sentences for tag in s.tags if tag[0] == "B")
    assert tags == ENTITIES[split]


def test_the_windows_give_back_the_test_split(real, corpora):
    assert real.sentences("test") == [
        list(zip(sentence.cells, sentence.tags, strict=True))
        for sentence in corpora["test"].sentences
    ]


def test_nothing_is_longer_than_a_window_and_little_is_unknown(real):
    test = real.splits["test"]
    assert max(map(len, test.input_ids)) == 128
    assert real.report["test"]["windows"] > 3442 + 133
    assert max(map(len, real.splits["train"].input_ids)) <= 128


def test_no_sentence_on_two_sides(real):
    texts = {
        name: {"".join(cells) for cells in split.sentence_cells()}
        for name, split in real.splits.items()
    }
    assert not texts["train"] & texts["dev"]
    assert not texts["test"] & (texts["train"] | texts["dev"])
