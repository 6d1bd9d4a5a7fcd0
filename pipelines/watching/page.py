"""Writes watch.html: what has shifted in the text that is served, with texts that show it."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.settings import Watch
from pipelines.watching.f1_estimate import Estimate
from pipelines.watching.night import Night
from pipelines.watching.shift import UNKNOWN_CHARACTERS
from pipelines.watching.texts import UNKNOWN, Reference, Text
from stages.model.decode import Span
from stages.report.colours import colours
from stages.report.page import page as fill_in
from stages.report.pieces import Piece, pieces, shown

TEMPLATE = Path(__file__).with_name("watch.html")


def page(
    night: Night, f1: Estimate, known: Reference, served: Sequence[Text], settings: Watch
) -> str:
    """The page of a night, one file that loads nothing else.

    Args:
        night: What was found.
        f1: Its estimate.
        known: Whose characters and types are known.
        served: The texts that were compared.
        settings: The thresholds.
    """
    interval = (f1.low, f1.high)
    return fill_in(
        TEMPLATE,
        {
            "night": night,
            "f1": f1,
            "interval": interval,
            "settings": settings,
            "colours": colours(known.types, [UNKNOWN]),
            "examples": [
                (
                    each.title,
                    [_pieces(served[at], known, each.name) for at in each.examples],
                )
                for each in night.shifts
                if each.shifted
            ],
        },
        interval,
    )


def _pieces(text: Text, known: Reference, measure: str) -> list[Piece]:
    """The text with its entities; for the measure of unknown characters, with those."""
    unknown = measure == UNKNOWN_CHARACTERS
    spans = text.unknown(known.known) if unknown else sorted(text.scores)
    return pieces(text.text, spans, {}, shown(len(text.text), spans or [Span(0, 0, "")], spans))
