"""A test sentence, what is in it, what was found, and in which way that is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from stages.model.decode import Span
from stages.text.cells import offsets

KINDS = {
    "missed": "An entity where nothing was found",
    "invented": "Something found where no entity is",
    "type": "The right characters with the wrong type",
    "too_long": "What was found holds the entity and more",
    "too_short": "What was found is a part of the entity",
    "shifted": "What was found overlaps the entity, neither holds the other",
}


@dataclass(frozen=True)
class Mistake:
    """An entity that is only in the gold or only found; of one error there may be one on each side.

    Attributes:
        kind: One of `KINDS`, by its characters alone if these are wrong too.
        in_gold: Whether it is in the gold, so was lost; else it was found, so is false.
        span: The entity.
        against: Those of the other side that share a character with it.
    """

    kind: str
    in_gold: bool
    span: Span
    against: tuple[Span, ...]


@dataclass(frozen=True)
class Judged:
    """A sentence.

    Attributes:
        cells: Its characters.
        gold: Entities that are there, in order.
        found: Those that the model finds, in order.
        confidence: Of each of both, `stages.model.decode.confidence`.
    """

    cells: Sequence[str]
    gold: Sequence[Span]
    found: Sequence[Span]
    confidence: Mapping[Span, float]

    def text(self, span: Span) -> str:
        """Its characters."""
        start, stop = self.characters(span)
        return "".join(self.cells)[start:stop]

    def characters(self, span: Span) -> tuple[int, int]:
        """Where it starts and stops in the text."""
        starts, stops = self._offsets
        return starts[span.start], stops[span.stop - 1]

    @cached_property
    def _offsets(self) -> tuple[Sequence[int], Sequence[int]]:
        return offsets(self.cells)

    @cached_property
    def right(self) -> set[Span]:
        """What was found and is there, type and all."""
        return set(self.gold) & set(self.found)

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """In order of their place."""
        result = []
        for span in sorted(set(self.gold) ^ set(self.found)):
            in_gold = span not in self.found
            others = self.found if in_gold else self.gold
            against = tuple(o for o in others if o.start < span.stop and span.start < o.stop)
            result.append(Mistake(_kind(span, in_gold, against), in_gold, span, against))
        return result


def _kind(span: Span, in_gold: bool, against: tuple[Span, ...]) -> str:
    if not against:
        return "missed" if in_gold else "invented"
    other = max(against, key=lambda o: min(o.stop, span.stop) - max(o.start, span.start))
    gold, found = (span, other) if in_gold else (other, span)
    if (gold.start, gold.stop) == (found.start, found.stop):
        return "type"
    if found.start <= gold.start and gold.stop <= found.stop:
        return "too_long"
    if gold.start <= found.start and found.stop <= gold.stop:
        return "too_short"
    return "shifted"
