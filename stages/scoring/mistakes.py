"""A test sentence with its gold and predicted entities, and the kind of each mistake in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from stages.model.decode import Span
from stages.text.cells import offsets

KINDS = {
    "missed": "An entity where nothing was predicted",
    "false_positive": "A prediction where there is no entity",
    "type": "The right characters with the wrong type",
    "too_long": "The prediction contains the entity and more",
    "too_short": "The prediction is a part of the entity",
    "shifted": "The two overlap, and neither contains the other",
}


@dataclass(frozen=True)
class Mistake:
    """An entity that only the gold or only the prediction has: a wrong boundary makes two of them.

    Attributes:
        kind: One of `KINDS`. Where characters and type are wrong, the characters decide.
        in_gold: True: only the gold has it (missed). False: only the prediction (spurious).
        span: The entity.
        against: The entities of the other side that share a character with it.
    """

    kind: str
    in_gold: bool
    span: Span
    against: tuple[Span, ...]


@dataclass(frozen=True)
class Judged:
    """A test sentence.

    Attributes:
        cells: Its characters or words.
        gold: Its gold entities, in order.
        predicted: Its predicted entities, in order.
        confidence: Of each gold and predicted entity, `stages.model.decode.confidence`.
    """

    cells: Sequence[str]
    gold: Sequence[Span]
    predicted: Sequence[Span]
    confidence: Mapping[Span, float]

    def text(self, span: Span) -> str:
        """The characters of `span`."""
        start, stop = self.characters(span)
        return "".join(self.cells)[start:stop]

    def characters(self, span: Span) -> tuple[int, int]:
        """Where `span` starts and stops in the text of the sentence."""
        starts, stops = self._offsets
        return starts[span.start], stops[span.stop - 1]

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """All mistakes, in the order of the text."""
        result = []
        for span in sorted(set(self.gold) ^ set(self.predicted)):
            in_gold = span not in self.predicted
            others = self.predicted if in_gold else self.gold
            against = tuple(o for o in others if o.start < span.stop and span.start < o.stop)
            result.append(Mistake(_kind(span, in_gold, against), in_gold, span, against))
        return result

    @cached_property
    def _offsets(self) -> tuple[Sequence[int], Sequence[int]]:
        return offsets(self.cells)


def _kind(span: Span, in_gold: bool, against: tuple[Span, ...]) -> str:
    if not against:
        return "missed" if in_gold else "false_positive"
    other = max(against, key=lambda o: min(o.stop, span.stop) - max(o.start, span.start))
    gold, predicted = (span, other) if in_gold else (other, span)
    if (gold.start, gold.stop) == (predicted.start, predicted.stop):
        return "type"
    if predicted.start <= gold.start and gold.stop <= predicted.stop:
        return "too_long"
    if gold.start <= predicted.start and predicted.stop <= gold.stop:
        return "too_short"
    return "shifted"
