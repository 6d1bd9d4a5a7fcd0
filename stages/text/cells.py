"""What has a tag each: the characters of a text, or its words."""

import re
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import sub

from tokenizers.pre_tokenizers import BertPreTokenizer

from stages.text.labels import Cells

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


def offsets(cells: Sequence[str]) -> tuple["array[int]", "array[int]"]:
    """Where each cell starts and where it ends in the text they make.

    The space before a word is not part of it. Arrays, as a text may have a million characters.
    """
    stops = array("q", accumulate(map(len, cells)))
    # A character may be a space itself.
    bare = (len(cell.lstrip() or cell) for cell in cells)
    return array("q", map(sub, stops, bare)), stops
