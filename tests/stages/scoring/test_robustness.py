"""The forms of a sentence, and that evaluate aligns them as align would."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from stages.model.decode import Decoder, spans
from stages.scoring import robustness
from stages.scoring.robustness import forms
from stages.text.labels import Labels
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.windows_table import read_aligned

TEXT = "１２%，“北京、大学”在ﾊﾟ。"
TAGS = ("O", "O", "O", "O", "O", *["B-ORG", "I-ORG", "I-ORG", "I-ORG", "I-ORG"], *["O"] * 5)
SENTENCE = Sentence(TEXT, TAGS)


def entities(sentence: Sentence) -> list[tuple[str, str]]:
    return [("".join(sentence.cells[s.start : s.stop]), s.type) for s in spans(sentence.tags)]


def texts(sentences: list[Sentence]) -> list[str]:
    return ["".join(sentence.cells) for sentence in sentences]


def test_each_form_by_hand():
    found = forms([SENTENCE], 100)
    assert {name: texts(row) for name, row in found.items()} == {
        "as_it_is": [TEXT],
        "full_width": ["１２％，“北京、大学”在ハ゜。".replace("゜", "\u309a")],
        "half_width": ["12%,“北京､大学”在ﾊﾟ｡"],
        "no_punctuation": ["１２北京、大学在ﾊﾟ"],
        "documents": [TEXT],
    }
    assert entities(found["no_punctuation"][0]) == [("北京、大学", "ORG")]
    assert texts(forms([Sentence("。！", ("O", "O"))], 9)["no_punctuation"]) == ["。！"]


def test_documents_are_neighbours_in_order_and_no_longer_than_asked():
    parts = [Sentence(str(n) * n, ("B-LOC", *["I-LOC"] * (n - 1))) for n in (3, 4, 5, 9, 1)]
    found = forms(parts, 8)["documents"]
    assert texts(found) == ["3334444", "55555", "999999999", "1"]
    assert [spans(s.tags)[-1].stop for s in found] == [7, 5, 9, 1]
    assert len(spans(found[0].tags)) == 2


def test_words_keep_the_space_before_them():
    cells = (("He", " said", " (", "no", ")", "."), ("Yes", " ."))
    sentences = [Sentence(row, ("O",) * len(row)) for row in cells]
    found = forms(sentences, 100, " ")
    assert texts(found["no_punctuation"]) == ["He saidno", "Yes"]
    assert texts(found["documents"]) == ["He said (no). Yes ."]
    assert len(found["documents"][0].cells) == 8
    assert texts(found["full_width"])[1] == "Ｙｅｓ　．"


@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.randoms()), min_size=1, max_size=5))
def test_no_form_loses_an_entity_or_changes_what_nfkc_makes_of_it(drawn):
    given_ = []
    for text, random in drawn:
        tags: list[str] = []
        while len(tags) < len(text):
            length = random.randint(1, 4)
            tags += random.choice([["O"] * length, ["B-X", *["I-X"] * (length - 1)]])
        given_.append(Sentence(text, tuple(tags[: len(text)])))
    expected = [each for sentence in given_ for each in entities(sentence)]
    for name, sentences in forms(given_, 20).items():
        found = [each for sentence in sentences for each in entities(sentence)]
        assert [type_ for _, type_ in found] == [type_ for _, type_ in expected]
        for (text, _), (former, _) in zip(found, expected, strict=True):
            if name.endswith("width"):
                assert [unicodedata.normalize("NFKC", c) for c in text] == [
                    unicodedata.normalize("NFKC", c) for c in former
                ]
            else:
                assert text == former


def test_the_split_comes_out_of_it_as_align_wrote_it(tiny):
    labels = Labels.read(tiny.aligned)
    split = read_aligned(tiny.aligned / "test.parquet")
    tokenizer = Tokenizer.from_file(str(tiny.ner / "tokenizer.json"))
    sentences = list(robustness.sentences_of(split, labels.tags))
    again = robustness.as_aligned(sentences, labels, CellEncoder(tokenizer, labels.unknown_id))
    assert (again.sentence, again.cells) == (split.sentence, split.cells)
    for name in ("input_ids", "labels"):
        for ours, theirs in zip(getattr(again, name), getattr(split, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_figures(tiny):
    metrics = tiny.json("metrics.json")
    found = metrics["robustness"]
    assert list(found) == ["as_it_is", "full_width", "half_width", "no_punctuation", "documents"]
    for figures in found.values():
        assert list(figures) == ["precision", "recall", "f1", "support", "sentences"]
        assert figures["sentences"] == 40
        assert figures["support"] == found["as_it_is"]["support"] > 300
    # Full-width digits of the corpus and plain ones give the same tokens.
    assert found["full_width"] == found["half_width"] == found["as_it_is"]
    assert found["documents"]["f1"] == pytest.approx(found["as_it_is"]["f1"], abs=0.1)


def test_all_sentences_as_they_are_score_as_the_split_does(tiny, monkeypatch):
    whole = {"sentences": 10**6, "document_characters": 5000}
    values = tiny.params.evaluate.model_dump() | {"robustness": whole}
    values["slices"] = {}
    params = type(tiny.params.evaluate).model_validate(values)
    import torch

    from stages.model.tagger import forward_of, load_tagger

    found = robustness.robustness(
        params,
        [read_aligned(tiny.aligned / "test.parquet")],
        Labels.read(tiny.aligned),
        tiny.ner,
        forward_of(load_tagger(tiny.ner, torch.device("cpu"))),
        Decoder.read(tiny.ner, Labels.read(tiny.aligned).tags),
    )
    test = tiny.json("metrics.json")["test"]
    assert found["as_it_is"]["f1"] == pytest.approx(test["f1"], abs=1e-12)
    assert found["as_it_is"]["sentences"] == len(tiny.test)
