import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text.cells import cells_of, offsets

ODD = " \t\n\r\x0b\x1c\x85\xa0\u2028\u3000\u200b\u0301\ud83d\ude00-.'’·🇨हि"
ANY = st.text(st.sampled_from("aé1京" + ODD) | st.characters(exclude_categories=[]), max_size=30)
# A text, and its words with where they start and end.
WORDS = {
    "a sentence": ("Ann met Bo.", ["Ann", " met", " Bo", "."], [(0, 3), (4, 7), (8, 10), (10, 11)]),
    "marks": ("the U.S.-led", ["the", " U", ".", "S", ".", "-", "led"], None),
    "much space": ("\n a \t\u3000b\xa0\n", ["\n a", " \t\u3000b"], [(2, 3), (6, 7)]),
    "vowel signs and accents": ("हिन्दी e\u0301a", ["हिन्दी", " e\u0301a"], [(0, 6), (7, 10)]),
    "half a surrogate pair": ("a\ud83d b", ["a\ud83d", " b"], [(0, 2), (3, 4)]),
    "no word": (" \n", [], []),
    "nothing": ("", [], []),
}


@pytest.mark.parametrize(("text", "cells", "where"), WORDS.values(), ids=WORDS)
def test_words(text, cells, where):
    assert cells_of(text, "words") == cells
    assert where is None or [*zip(*offsets(cells), strict=True)] == where


def test_characters():
    text = "a \u3000京\n"
    assert "".join(cells_of(text, "characters")) == text
    assert [*zip(*offsets(text), strict=True)] == [(n, n + 1) for n in range(5)]


@given(ANY)
@settings(deadline=None)
def test_words_are_all_of_the_text_but_its_space(text):
    cells = cells_of(text, "words")
    assert "".join(cells) == text[: len(text.rstrip())]
    found = [text[start:end] for start, end in zip(*offsets(cells), strict=True)]
    assert found == [cell.lstrip() for cell in cells]
    assert all(word and not any(map(str.isspace, word)) for word in found)
    assert all(len(word) == 1 or word.strip(".,-'") for word in found)
    assert "".join(found) == "".join(text.split())
