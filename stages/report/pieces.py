"""Splits a sentence into pieces of text to mark, and cuts a long one around some entities."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from stages.model.decode import Span

WHOLE_CELLS = 200  # a longer sentence is cut
CONTEXT_CELLS = 30
SHOWN_ENTITIES = 20  # of a long sentence: a list of names may have a hundred


@dataclass(frozen=True)
class Mention:
    """An entity that a page is about, and the kind of mistake or change that it is."""

    kind: str
    type: str
    text: str


@dataclass(frozen=True)
class Piece:
    """Text. `type` is set if it is an entity, `kind` too if that is a mistake or a change."""

    text: str
    type: str | None = None
    kind: str | None = None


def shown(size: int, about: Iterable[Span], spans: Iterable[Span]) -> list[bool]:
    """Which of `size` cells to show: the first of `about` and their context; no span is cut."""
    if size <= WHOLE_CELLS:
        return [True] * size
    result = [False] * size
    for span in islice(about, SHOWN_ENTITIES):
        start, stop = max(0, span.start - CONTEXT_CELLS), min(size, span.stop + CONTEXT_CELLS)
        result[start:stop] = [True] * (stop - start)
    for span in spans:
        if any(result[span.start : span.stop]):
            result[span.start : span.stop] = [True] * (span.stop - span.start)
    return result


def pieces(
    cells: Sequence[str], spans: Iterable[Span], kinds: Mapping[Span, str], shown: Sequence[bool]
) -> list[Piece]:
    """The shown cells as pieces. `spans`: entities in order; `kinds`: of the wrong ones."""
    return list(_pieces(cells, spans, kinds, shown))


def _pieces(
    cells: Sequence[str], spans: Iterable[Span], kinds: Mapping[Span, str], shown: Sequence[bool]
) -> Iterator[Piece]:
    at = 0
    for span in [*spans, Span(len(cells), len(cells), "")]:
        yield from _plain(cells, at, span.start, shown)
        if any(shown[span.start : span.stop]):
            yield Piece("".join(cells[span.start : span.stop]), span.type, kinds.get(span))
        at = span.stop


def _plain(cells: Sequence[str], start: int, stop: int, shown: Sequence[bool]) -> Iterator[Piece]:
    text = ""
    for cell in range(start, stop):
        if shown[cell]:
            text += cells[cell]
        elif cell == 0 or shown[cell - 1]:  # a gap begins here
            text += " … "
    if text:
        yield Piece(text)
