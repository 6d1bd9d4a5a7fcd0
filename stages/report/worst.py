"""Picks the sentences with the worst mistakes, as pieces of text to mark."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stages.report.pieces import Piece, pieces, shown
from stages.scoring.mistakes import Judged


@dataclass(frozen=True)
class Item:
    """A sentence with a mistake.

    Attributes:
        number: In the test split, from 0.
        kinds: How many mistakes of each kind, missed and spurious.
        types: Of the wrong entities.
        weight: Sum of the confidences of all wrong entities: many and confident is worst.
        confidence: The highest of them.
        gold: The text with the gold entities.
        predicted: The text with the predicted entities.
    """

    number: int
    kinds: dict[str, int]
    types: list[str]
    weight: float
    confidence: float
    gold: list[Piece]
    predicted: list[Piece]


def worst(judged: Iterable[Judged], most: int) -> list[Item]:
    """At most `most` sentences, the largest weight first."""
    items = [_item(number, each) for number, each in enumerate(judged) if each.mistakes]
    return sorted(items, key=lambda item: (-item.weight, item.number))[:most]


def _item(number: int, judged: Judged) -> Item:
    wrong = {mistake.span: mistake.kind for mistake in judged.mistakes}
    confidences = [judged.confidence[span] for span in wrong]
    about = [mistake.span for mistake in judged.mistakes]
    seen = shown(len(judged.cells), about, {*judged.gold, *judged.predicted})
    return Item(
        number=number,
        kinds=dict(Counter(wrong.values())),
        types=sorted({span.type for span in wrong}),
        weight=round(sum(confidences), 6),
        confidence=round(max(confidences), 6),
        gold=pieces(judged.cells, judged.gold, wrong, seen),
        predicted=pieces(judged.cells, judged.predicted, wrong, seen),
    )
