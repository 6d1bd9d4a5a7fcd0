"""A labelled sentence of a corpus in any format."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A sentence: its cells (see `stages.text.cells`) and one tag per cell."""

    cells: str | tuple[str, ...]
    """A string of characters, or a tuple of words."""
    tags: tuple[str, ...]
    """IOB2."""
    meta: str | None = None
    """Metadata of the corpus: a JSON object of strings, numbers and booleans."""
