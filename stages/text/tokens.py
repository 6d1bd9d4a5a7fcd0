"""Encodes cells as tokens, each cell separately, so that none is moved or dropped."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel, Metaspace, PreTokenizer, Sequence

from .cells import SURROGATE
from .labels import Cells

# Bounds a server's cache; a longer word hardly occurs twice.
CACHED_CELLS, CACHED_CHARACTERS = 2**16, 32


class CellEncoder:
    """Encodes cells (see `stages.text.cells`) one at a time, and caches them."""

    def __init__(self, tokenizer: Tokenizer, unknown: int, cells: Cells = "characters") -> None:
        """Takes a tokenizer and its [UNK] id; switches off its padding and truncation.

        For characters it also switches off the space that SentencePiece and some tokenizers of
        bytes put before each text: it would stand before every character.
        """
        # Sentence encoders' files switch them on; a cell would be padded to 128 tokens.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if cells == "characters":
            # Else "京" is "▁" and "京": half as many cells in a window, each labelled at its "▁".
            _add_no_space(tokenizer.pre_tokenizer)
        self._tokenizer = tokenizer
        self._unknown = unknown
        self._encode = self._of_word if cells == "words" else self._of_character
        self._cached = lru_cache(CACHED_CELLS)(self._encode)

    def __call__(self, cells: Iterable[str]) -> tuple[list[int], list[int]]:
        """Token ids of `cells`, and the index of each cell's first token.

        Each cell is NFKC-normalised without its neighbours: "１" becomes "1", "㎞" becomes the
        tokens of "k" and "m". What a tokenizer drops (U+3000, zero-width and control characters,
        lone surrogates) becomes [UNK], so every cell has at least one token.
        """
        ids: list[int] = []
        first: list[int] = []
        for cell in cells:
            first.append(len(ids))
            if len(cell) <= CACHED_CHARACTERS:
                ids += self._cached(cell)
            else:
                ids += self._encode(cell)
        return ids, first

    def _of_word(self, cell: str) -> list[int]:
        word = SURROGATE.sub("\ufffd", cell.lstrip())
        # Byte-level tokenizers expect one space before a word, whatever the text has there.
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


def _add_no_space(own: PreTokenizer | None) -> None:
    """Makes the tokenizer that has this part add no space before a text."""
    if isinstance(own, Sequence):
        for part in own:  # type: ignore[attr-defined]
            _add_no_space(part)
    elif isinstance(own, Metaspace):
        own.prepend_scheme = "never"
    elif isinstance(own, ByteLevel):
        own.add_prefix_space = False
