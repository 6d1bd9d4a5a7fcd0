"""What the tagger finds, and where in the caller's own text."""

from itertools import pairwise
from random import Random

import pytest

from stages.serving.tagger import Entity, Tagger
from stages.text.labels import Labels
from stages.text.windows import windows
from tests.invented import entities_of, text_of

SENTENCE = "记者从银厂得知李静伟已经回到海城"
AWKWARD = {
    "full-width": "ＡＢＣ１２３，！（）",
    "combining": "e\u0301a\u0308か\u3099",
    "emoji": "👩‍👩‍👧‍👦🇨🇳👍🏽",
    "zero-width": "\u200b\u200d\ufeff\u00ad",
    "space": "\u3000 \t\n\u00a0",
    "control": "\x00\x07\x1b\x7f",
    "digits": "2024年12月",
    "longer when normalised": "㎞ﷺ㍿①½ﬃ",
    "surrogate": "\ud83d\udc4d\udfff",
    "of other planes": "𠮷𝟘𐍈",
    "specials": "[CLS][SEP][UNK][PAD]",
    "line separators": "\u2028\u2029\u0085\r\n",
}


@pytest.fixture(scope="module")
def tagger(tiny):
    return Tagger(tiny.onnx, cpu_threads=1)


def spans(entities):
    return [(e.start, e.end, e.type) for e in entities]


def same(found, expected):
    assert [spans(row) for row in found] == [spans(row) for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert [e.score for e in row] == pytest.approx([e.score for e in other], abs=2e-4)


def test_a_sentence(tagger):
    [entities] = tagger([SENTENCE])
    assert spans(entities) == [(3, 5, "ORG"), (7, 10, "PER"), (14, 16, "LOC")]
    assert [e.text for e in entities] == ["银厂", "李静伟", "海城"]
    assert all(isinstance(e, Entity) and 0.5 < e.score <= 1 for e in entities)


def test_nothing_to_find(tagger):
    assert tagger([]) == []
    assert tagger([""]) == [[]]
    assert [spans(row) for row in tagger(["", SENTENCE, "", "今天☆没有新闻"])] == [
        [],
        [(3, 5, "ORG"), (7, 10, "PER"), (14, 16, "LOC")],
        [],
        [],
    ]


@pytest.mark.parametrize("awkward", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_offsets_are_those_of_the_callers_text(tagger, awkward, pieces):
    cuts = [16 * piece // pieces for piece in range(pieces + 1)]
    parts = [SENTENCE[start:end] for start, end in pairwise(cuts)]
    text = f"{awkward}，" + awkward.join(parts) + f"，{awkward}"
    [entities] = tagger([text])
    for entity in entities:
        assert entity.text == text[entity.start : entity.end] != ""
        assert entity.type in ("PER", "ORG", "LOC")
    edges = [edge for entity in entities for edge in (entity.start, entity.end)]
    assert edges == sorted(edges)
    if pieces == 1:
        assert {"银厂", "李静伟", "海城"} <= {entity.text for entity in entities}


@pytest.mark.parametrize("before", ["☆", "３㎞", "\u3000", "㎞", "👍🏽", "\u200b", "\ud800"])
@pytest.mark.parametrize("times", [1, 30])
def test_what_stands_before_moves_the_offsets_by_its_length(tagger, before, times):
    text = before * times + SENTENCE
    [entities] = tagger([text])
    found = [e for e in entities if e.start >= len(before) * times]
    # Of so small a model; what 60 thumbs do to its first word is not the subject here.
    expected = {("李静伟", 7), ("海城", 14)}
    assert expected <= {(e.text, e.start - len(before) * times) for e in found}
    assert [text[e.start : e.end] for e in found] == [e.text for e in found]


def test_the_caller_gets_back_the_characters_that_were_sent(tagger):
    # Compatibility ideographs, which NFKC makes 金 and 李.
    [entities] = tagger(["记者从\uf90a厂得知\uf9e1明已经回到海城"])
    assert [e.text for e in entities] == ["\uf90a厂", "\uf9e1明", "海城"]


def test_alone_or_among_others_the_answer_is_the_same(tagger, tiny):
    texts = [text_of(sentence) for sentence in tiny.test[1:60]] + ["", *AWKWARD.values()]
    Random(3).shuffle(texts)  # noqa: S311
    together = tagger(texts)
    same(together, [tagger([text])[0] for text in texts])
    same(together[::-1], tagger(texts[::-1]))


def test_an_entity_across_the_border_of_windows_is_found_whole(tagger, tiny):
    labels = Labels.read(tiny.onnx)
    found = tagger([text_of(sentence) for sentence in tiny.test[:2]])
    whole = 0
    for sentence, entities in zip(tiny.test[:2], found, strict=True):
        tokens, first = 0, []
        for cell, _ in sentence:  # ㎞ alone has two tokens
            first.append(tokens)
            tokens += 2 if cell == "㎞" else 1
        borders = {
            window.own_start
            for window in windows(tokens, labels.window_tokens - 2, labels.window_overlap_tokens)
        }
        for start, end, type_ in entities_of(sentence):
            if borders & {first[at] for at in range(start + 1, end)}:
                whole += (start, end, type_) in spans(entities)
    assert whole > 5


def test_long_texts_are_found_as_well_as_short_ones(tagger, tiny):
    [text] = [text_of(tiny.test[1])]
    gold = set(entities_of(tiny.test[1]))
    found = set(spans(tagger([text])[0]))
    assert len(found & gold) > 0.9 * len(gold)
    assert max(end for _, end, _ in found) > 2400
