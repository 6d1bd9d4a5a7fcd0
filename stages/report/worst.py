"""The sentences in which most is wrong, as pieces of text to mark."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stages.ner.decode import Span
from stages.report.judged import Judged

WHOLE_CELLS = 200  # a longer sentence is cut to what is around its mistakes
CONTEXT_CELLS = 30
SHOWN_MISTAKES = 20  # of such a sentence: a list of names may have a hundred


@dataclass(frozen=True)
class Piece:
    """Text; of an entity if `type` is set, of a wrong one if `kind` is."""

    text: str
    type: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Item:
    """A sentence with a mistake.

    Attributes:
        number: In the test split, from 0.
        kinds: How many mistakes of each kind, both sides.
        types: Of the wrong entities.
        weight: Sum of the confidences of all wrong ones: many and sure is worst.
        confidence: The highest of them.
        gold: The text with the entities that are there.
        found: The same text with those that were found.
    """

    number: int
    kinds: dict[str, int]
    types: list[str]
    weight: float
    confidence: float
    gold: list[Piece]
    found: list[Piece]


def worst(judged: Iterable[Judged], most: int) -> list[Item]:
    """At most so many sentences, those with the largest weight first."""
    items = [_item(number, each) for number, each in enumerate(judged) if each.mistakes]
    return sorted(items, key=lambda item: (-item.weight, item.number))[:most]


def _item(number: int, judged: Judged) -> Item:
    wrong = {mistake.span: mistake.kind for mistake in judged.mistakes}
    confidences = [judged.confidence[span] for span in wrong]
    shown = _shown(judged)
    return Item(
        number=number,
        kinds=dict(Counter(wrong.values())),
        types=sorted({span.type for span in wrong}),
        weight=round(sum(confidences), 6),
        confidence=round(max(confidences), 6),
        gold=list(_pieces(judged, judged.gold, wrong, shown)),
        found=list(_pieces(judged, judged.found, wrong, shown)),
    )


def _shown(judged: Judged) -> list[bool]:
    """Which cells are: the first mistakes with what is around them, no entity cut."""
    size = len(judged.cells)
    if size <= WHOLE_CELLS:
        return [True] * size
    shown = [False] * size
    for mistake in judged.mistakes[:SHOWN_MISTAKES]:
        start = max(0, mistake.span.start - CONTEXT_CELLS)
        stop = min(size, mistake.span.stop + CONTEXT_CELLS)
        shown[start:stop] = [True] * (stop - start)
    for span in {*judged.gold, *judged.found}:
        if any(shown[span.start : span.stop]):
            shown[span.start : span.stop] = [True] * (span.stop - span.start)
    return shown


def _pieces(
    judged: Judged, spans: Sequence[Span], wrong: dict[Span, str], shown: list[bool]
) -> Iterable[Piece]:
    at = 0
    for span in [*spans, Span(len(judged.cells), len(judged.cells), "")]:
        yield from _plain(judged.cells, at, span.start, shown)
        if any(shown[span.start : span.stop]):
            yield Piece(judged.text(span), span.type, wrong.get(span))
        at = span.stop


def _plain(cells: Sequence[str], start: int, stop: int, shown: list[bool]) -> Iterable[Piece]:
    text = ""
    for cell in range(start, stop):
        if shown[cell]:
            text += cells[cell]
        elif cell == 0 or shown[cell - 1]:  # what is left out begins here
            text += " … "
    if text:
        yield Piece(text)
