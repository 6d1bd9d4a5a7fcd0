"""What two models find in the same sentence where they do not find the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.report.pieces import Piece, pieces, shown
from stages.scoring.predictions import Scored

KINDS = {
    "lost": "in the gold, and the champion alone finds it",
    "gained": "in the gold, and the challenger alone finds it",
    "invented": "not in the gold, and the challenger alone finds it",
    "mended": "not in the gold, and the champion alone finds it",
}


@dataclass(frozen=True)
class Change:
    """An entity that one of the two alone finds; `kind` is one of `KINDS`."""

    kind: str
    type: str
    text: str


@dataclass(frozen=True)
class Item:
    """A sentence with changes.

    Attributes:
        number: In the test split, from 0.
        changes: In order of their place.
        gold: The text with the entities that are there.
        champion: The same text with those that it finds.
        challenger: As `champion`.
    """

    number: int
    changes: list[Change]
    gold: list[Piece]
    champion: list[Piece]
    challenger: list[Piece]

    def count(self, kind: str) -> int:
        """How many changes are of that kind."""
        return sum(change.kind == kind for change in self.changes)


def changed(challenger: Sequence[Scored], champion: Sequence[Scored]) -> list[Item]:
    """The sentences in which they differ, those with the most changes first."""
    items = [
        _item(number, mine, theirs)
        for number, (mine, theirs) in enumerate(zip(challenger, champion, strict=True))
        if mine.predicted != theirs.predicted
    ]
    return sorted(items, key=lambda item: (-len(item.changes), item.number))


def _item(number: int, challenger: Scored, champion: Scored) -> Item:
    # One of them is wrong at least, and its file has the text.
    text = challenger.text if challenger.text is not None else champion.text or ""
    gold, mine, theirs = challenger.gold, challenger.predicted, champion.predicted
    differ = sorted(mine ^ theirs)
    wrong = dict.fromkeys((mine | theirs) - gold, "wrong")
    seen = shown(len(text), differ, gold | mine | theirs)
    changes = [
        Change(_kind(span in mine, span in gold), span.type, text[span.start : span.stop])
        for span in differ
    ]
    lines = (pieces(text, sorted(spans), wrong, seen) for spans in (gold, theirs, mine))
    return Item(number, changes, *lines)


def _kind(of_challenger: bool, right: bool) -> str:
    if right:
        return "gained" if of_challenger else "lost"
    return "invented" if of_challenger else "mended"
