"""A labelled sentence, whatever the format of its corpus."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A sentence of the corpus: its cells (see `stages.text.cells`) and a tag for each."""

    cells: str | tuple[str, ...]
    """A string holds characters."""
    tags: tuple[str, ...]
    """IOB2."""
    meta: str | None = None
    """What else the corpus says of it: a JSON object of texts, numbers and truth values."""
