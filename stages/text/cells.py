"""Splits a text into cells, the characters or words that have a tag each."""

import re
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import sub

from tokenizers.pre_tokenizers import BertPreTokenizer

from .labels import Cells

# The library's white space is not str.isspace()'s, and it refuses half a surrogate pair.
SPACE, SURROGATE = re.compile(r"\s"), re.compile("[\ud800-\udfff]")


def cells_of(text: str, kind: Cells) -> Sequence[str]:
    """The cells of `text`: its characters; or its words, each with the white space before it.

    A punctuation mark is a word. Joined, the cells are the text again, except for white space at
    its end; a text of white space alone has no word.
    """
    if kind == "characters":
        return text
    seen = SURROGATE.sub("\ufffd", SPACE.sub(" ", text))
    stops = (stop for _, (_, stop) in BertPreTokenizer().pre_tokenize_str(seen))
    return [text[start:stop] for start, stop in pairwise([0, *stops])]


def offsets(cells: Sequence[str]) -> tuple[Sequence[int], Sequence[int]]:
    """Start and end of each cell in the text that they make, in code points.

    The white space before a word is not part of it. Arrays, since a text may have a million
    characters.
    """
    if len("".join(cells)) == len(cells):  # each is a character
        return range(len(cells)), range(1, len(cells) + 1)
    stops = array("q", accumulate(map(len, cells)))
    # A cell may be a single space character.
    bare = (len(cell.lstrip() or cell) for cell in cells)
    return array("q", map(sub, stops, bare)), stops
