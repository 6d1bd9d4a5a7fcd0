"""Cells to tokens, one by one, so that none moves or vanishes."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from tokenizers import Tokenizer

from stages.text.cells import SURROGATE
from stages.text.labels import Cells

# Bounds what a server remembers; a word of more characters is hardly met again.
REMEMBERED_CELLS, REMEMBERED_CHARACTERS = 2**16, 32


class CellEncoder:
    """Encodes cells (see `stages.text.cells`) one at a time, and remembers them."""

    def __init__(self, tokenizer: Tokenizer, unknown: int, cells: Cells = "characters") -> None:
        """Takes a tokenizer and the id of its [UNK]; switches its padding and truncation off."""
        # The files of sentence encoders switch them on, and a cell would be padded to 128 tokens.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._unknown = unknown
        self._encode = self._of_word if cells == "words" else self._of_character
        self._remembered = lru_cache(REMEMBERED_CELLS)(self._encode)

    def __call__(self, cells: Iterable[str]) -> tuple[list[int], list[int]]:
        """Token ids of `cells`, and for each cell the index of its first token.

        A cell is NFKC-normalised by itself, never together with its neighbours: "１" becomes "1",
        "㎞" becomes the tokens of "k" and "m". What a tokenizer drops (U+3000, zero-width and
        control characters, lone surrogates) becomes [UNK], so every cell has a token. A word may
        have several.
        """
        ids: list[int] = []
        first: list[int] = []
        for cell in cells:
            first.append(len(ids))
            if len(cell) <= REMEMBERED_CHARACTERS:
                ids += self._remembered(cell)
            else:
                ids += self._encode(cell)
        return ids, first

    def _of_word(self, cell: str) -> list[int]:
        word = SURROGATE.sub("\ufffd", cell.lstrip())
        # One space before a word, whatever stood there, is what a tokenizer of bytes was made for.
        word = " " * cell[0].isspace() + unicodedata.normalize("NFKC", word)
        return self._tokenizer.encode(word, add_special_tokens=False).ids or [self._unknown]

    def _of_character(self, cell: str) -> list[int]:
        ids: list[int] = []
        for character in unicodedata.normalize("NFKC", cell):
            # The tokenizer takes UTF-8, which has no surrogates.
            surrogate = "\ud800" <= character <= "\udfff"
            ids += (
                [] if surrogate else self._tokenizer.encode(character, add_special_tokens=False).ids
            )
        return ids or [self._unknown]
