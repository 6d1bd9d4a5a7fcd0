"""Picks the sentences with the worst mistakes, as pieces of text to mark."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stages.report.pieces import Mention, Piece, pieces, shown
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
        mentions: The wrong predictions and the missed entities, in the order of the text.
        gold: The text with the gold entities.
        predicted: The text with the predicted entities.
    """

    number: int
    kinds: dict[str, int]
    types: list[str]
    weight: float
    confidence: float
    mentions: list[Mention]
    gold: list[Piece]
    predicted: list[Piece]


def worst(judged: Iterable[Judged], most: int) -> list[Item]:
    """At most `most` sentences, the largest weight first."""
    items = (_item(number, each) for number, each in enumerate(judged) if each.mistakes)
    return heapq.nsmallest(most, items, key=lambda item: (-item.weight, item.number))


def _item(number: int, judged: Judged) -> Item:
    wrong = {mistake.span: mistake.kind for mistake in judged.mistakes}
    confidences = [judged.confidence[span] for span in wrong]
    seen = shown(len(judged.cells), wrong, {*judged.gold, *judged.predicted})
    # A mistake is the prediction's; only what has no prediction is marked in the gold.
    marked = {m.span: m.kind for m in judged.mistakes if not m.in_gold or m.kind == "missed"}
    return Item(
        number=number,
        kinds=dict(Counter(wrong.values())),
        types=sorted({span.type for span in wrong}),
        weight=round(sum(confidences), 6),
        confidence=round(max(confidences), 6),
        mentions=[Mention(kind, span.type, judged.text(span)) for span, kind in marked.items()],
        gold=pieces(judged.cells, judged.gold, marked, seen),
        predicted=pieces(judged.cells, judged.predicted, marked, seen),
    )
