"""Characters to tokens, one by one, so that none moves or vanishes."""

import unicodedata
from collections.abc import Iterable

from tokenizers import Tokenizer


class CellEncoder:
    """Encodes cells (characters of the user's text) one at a time, and remembers each."""

    def __init__(self, tokenizer: Tokenizer, unknown: int) -> None:
        """Takes a tokenizer and the id of its [UNK]; switches its padding and truncation off."""
        # The files of sentence encoders switch them on, and a cell would be padded to 128 tokens.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._unknown = unknown
        self._tokens: dict[str, list[int]] = {}

    def __call__(self, cells: Iterable[str]) -> tuple[list[int], list[int]]:
        """Token ids of `cells`, and for each cell the index of its first token.

        A cell is NFKC-normalised by itself, never together with its neighbours: "１" becomes "1",
        "㎞" becomes the tokens of "k" and "m". What a tokenizer drops (U+3000, zero-width and
        control characters, lone surrogates) becomes [UNK], so every cell has a token.
        """
        ids: list[int] = []
        first: list[int] = []
        for cell in cells:
            tokens = self._tokens.get(cell)
            if tokens is None:
                tokens = self._tokens[cell] = self._encode(cell)
            first.append(len(ids))
            ids += tokens
        return ids, first

    def _encode(self, cell: str) -> list[int]:
        ids: list[int] = []
        for character in unicodedata.normalize("NFKC", cell):
            # The tokenizer takes UTF-8, which has no surrogates.
            surrogate = "\ud800" <= character <= "\udfff"
            ids += (
                [] if surrogate else self._tokenizer.encode(character, add_special_tokens=False).ids
            )
        return ids or [self._unknown]
