"""Warnings about a corpus: each at its threshold and above it."""

import pytest

from stages.corpus.corpus import Corpus, Repairs
from stages.corpus.data_warnings import TEST_ENTITIES, data_warnings, shown
from stages.corpus.splits import Split
from stages.text.sentence import Sentence, as_batches

FIGURES = {
    "characters": 10000,
    "sentences": 1000,
    "entities": {"LOC": TEST_ENTITIES},
    "unknown_rate": 0.01,
    "unknown_most": [["沪", 90], ["\u3000", 10]],
    "windowed_sentences": 100,
}


def sentences(start, count=1000):
    """All different, each an entity; of `start`, none of another's."""
    texts = (chr(0x4E00 + start + n) for n in range(count))
    return [Sentence(text, ("B-LOC",)) for text in texts]


def corpus(sentences, repairs):
    return Corpus(as_batches(sentences), "characters", repairs)


@pytest.fixture
def warned():
    """The warnings about a corpus that has as much of everything as gives none, and `changes`."""

    def warned(train=None, repaired=None, test=None, types=("LOC",), of_test=None, **changes):
        train, test = train or sentences(0), test or sentences(5000)
        repairs = Repairs()
        repairs.counts.update({"stray_i": 5, "empty": 10, "crlf": 999} | (repaired or {}))
        corpora = {"train": corpus(train, repairs), "test": corpus(test, Repairs())}
        splits = {split: Split.all_of(corpora[split]) for split in ("train", "test")}
        figures = {
            split: FIGURES | changes | (of_test or {} if split == "test" else {})
            for split in ("train", "dev", "test")
        }
        found = data_warnings(corpora, splits, figures, types)
        assert all(set(warning) == {"message", "remedy"} for warning in found)
        return [f"{warning['message']}; {warning['remedy']}" for warning in found]

    return warned


def test_at_the_thresholds_nothing_is_said(warned):
    assert warned() == []
    assert warned(train=sentences(0, 950) + sentences(0, 50)) == []
    assert warned(test=sentences(0, 10) + sentences(5000, 990)) == []


ABOVE = {
    "left out": (
        {"repaired": {"nested": 3, "repeated_span": 9, "crossing": 1}},
        "4 entities of train overlap one that stays, so they are left out and no score counts them:"
        " nested 3, crossing 1; if they matter, set align.nested to the other choice",
    ),
    "unknown": (
        {"unknown_rate": 0.19},
        "19.0 % of train, 19.0 % of dev, 19.0 % of test are characters that the encoder does not"
        " know; most often in train: 沪 90, U+3000 10; name an encoder whose vocabulary has them",
    ),
    "traditional": (
        {"unknown_rate": 0.02, "unknown_most": [["國", 3], ["沪", 1]]},
        "國 3, 沪 1; most of these are traditional characters: name an encoder of traditional",
    ),
    "blank": (
        {"unknown_rate": 0.02, "unknown_most": [["\u3000", 3], [" ", 1], ["沪", 1]]},
        "U+3000 3, U+0020 1, 沪 1; most of this is white space: delete it",
    ),
    "repaired": (
        {"repaired": {"stray_i": 1179, "empty_tag": 2}},
        "1,181 tags or spans of train were repaired, which has 1,000 entities: stray_i 1,179,"
        " empty_tag 2; correct the file, or align.scheme: `repaired_first` in reports/align.json",
    ),
    "not in train": (
        {"types": ("LOC", "PER"), "of_test": {"entities": {"LOC": 30, "PER": 2}}},
        "test has entities of types that train has not: PER 2; add sentences with them to train",
    ),
    "nowhere": ({"types": ("LOC", "PER")}, "neither train nor test has an entity of PER; correct"),
    "rare": (
        {"of_test": {"entities": {"LOC": 29}}},
        "test has fewer than 30 entities of LOC 29, so their F1 says little; add test sentences",
    ),
    "leaked": (
        {"test": sentences(0, 11) + sentences(5000, 989)},
        "11 of 1,000 test sentences are in train too, so F1 is too high; delete them",
    ),
    "empty": ({"repaired": {"empty": 11}}, "11 of 1,011 texts of train are empty; check what"),
    "repeated": (
        {"train": sentences(0, 949) + sentences(0, 51)},
        "51 of 1,000 train sentences repeat an earlier one; delete the repeated ones",
    ),
    "windowed": (
        {"of_test": {"windowed_sentences": 101}},
        "10.0 % of train, 10.1 % of test are sentences longer than a window, so they are read in"
        " parts; raise align.window_tokens",
    ),
}


@pytest.mark.parametrize(("given", "said"), ABOVE.values(), ids=ABOVE)
def test_above_a_threshold(warned, given, said):
    [warning] = warned(**given)
    assert said in warning


@pytest.mark.parametrize(
    ("cell", "text"), [("沪", "沪"), (" the", "the"), (" ", "U+0020"), ("\u200b", "U+200B")]
)
def test_a_cell_that_cannot_be_seen(cell, text):
    assert shown(cell) == text


def test_without_an_encoder_the_rest_is_checked():
    figures = {split: {"entities": {"LOC": n}} for n, split in enumerate(("dev", "test", "train"))}
    corpora = {s: corpus(sentences(n), Repairs()) for n, s in ((0, "train"), (5000, "test"))}
    splits = {split: Split.all_of(corpus) for split, corpus in corpora.items()}
    [rare] = data_warnings(corpora, splits, figures, ["LOC"])
    assert rare["message"].startswith("test has fewer than 30 entities of LOC 1")
