"""A labelled corpus, whatever its format."""

from collections import Counter
from dataclasses import dataclass, field

from stages.text.sentence import Sentence

FIRST_PLACES = 3


@dataclass(frozen=True)
class Repairs:
    """The number of repairs of each kind, and the first places of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    """Kind → its first `FIRST_PLACES` places: file and line, or file and row."""

    def add(self, kind: str, where: str) -> None:
        """Counts one repair at `where`."""
        self.counts[kind] += 1
        places = self.first.setdefault(kind, [])
        if len(places) < FIRST_PLACES:
            places.append(where)


@dataclass(frozen=True)
class Corpus:
    """Sentences, and the repairs made while reading them."""

    sentences: list[Sentence]
    repairs: Repairs
