"""A labelled sentence, in whatever format its corpus came."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A sentence as the corpus has it: its cells (see `stages.text.cells`) and a tag for each."""

    cells: str | tuple[str, ...]
    """A string is of characters."""
    tags: tuple[str, ...]
    """IOB2."""
    meta: str | None = None
    """What else the corpus says of it: a JSON object of texts, numbers and truth values."""
