"""What has a tag each: the characters of a text, or its words."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from tokenizers.pre_tokenizers import BertPreTokenizer

from stages.ner.labels import Cells

# What ends a word is to be what str.isspace() says, and the library takes no half surrogate pair.
SPACE, SURROGATE = re.compile(r"\s"), re.compile("[\ud800-\udfff]")


def cells_of(text: str, kind: Cells) -> Sequence[str]:
    """The cells of `text`: its characters; or its words, each with the space before it.

    A punctuation mark is a word of its own. So cells put together are the text again, but for space
    at its end; a text of space alone has no word.
    """
    if kind == "characters":
        return text
    seen = SURROGATE.sub("\ufffd", SPACE.sub(" ", text))
    stops = (stop for _, (_, stop) in BertPreTokenizer().pre_tokenize_str(seen))
    return [text[start:stop] for start, stop in pairwise([0, *stops])]


def offsets(cells: Sequence[str]) -> list[tuple[int, int]]:
    """Where each cell starts and ends in the text they make, the space before a word left out."""
    return [
        # A character may be a space itself.
        (stop - len(cell.lstrip() or cell), stop)
        for cell, stop in zip(cells, accumulate(map(len, cells)), strict=True)
    ]
