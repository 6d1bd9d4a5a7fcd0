"""What a labelled corpus is, in whatever format it came."""

from collections import Counter
from dataclasses import dataclass

from stages.text.sentence import Sentence


@dataclass(frozen=True)
class Corpus:
    """Sentences, and what had to be repaired to read them."""

    sentences: list[Sentence]
    repaired: Counter[str]
