"""Lists the entities that only one of two models finds, sentence by sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.report.pieces import Mention, Piece, pieces, shown
from stages.scoring.predictions import Scored

KINDS = {
    "lost": "a gold entity that only the champion finds",
    "gained": "a gold entity that only the challenger finds",
    "false_positive": "not in the gold, and only the challenger predicts it",
    "fixed": "not in the gold, and only the champion predicts it",
}


@dataclass(frozen=True)
class Item:
    """A sentence with changes.

    Attributes:
        number: In the test split, from 0.
        changes: The entities that only one of the two finds, in the order of the text; each has one
            of `KINDS`.
        gold: The text with the gold entities.
        champion: The text with the entities that the champion finds.
        challenger: The text with the entities that the challenger finds.
    """

    number: int
    changes: list[Mention]
    gold: list[Piece]
    champion: list[Piece]
    challenger: list[Piece]

    def count(self, kind: str) -> int:
        """Number of changes of that kind."""
        return sum(change.kind == kind for change in self.changes)


def changed(challenger: Sequence[Scored], champion: Sequence[Scored]) -> list[Item]:
    """The sentences in which the two differ, the most changes first."""
    items = [
        _item(number, mine, theirs)
        for number, (mine, theirs) in enumerate(zip(challenger, champion, strict=True))
        if mine.predicted != theirs.predicted
    ]
    return sorted(items, key=lambda item: (-len(item.changes), item.number))


def _item(number: int, challenger: Scored, champion: Scored) -> Item:
    # At least one of them is wrong, and its file has the text.
    text = challenger.text if challenger.text is not None else champion.text or ""
    gold, mine, theirs = challenger.gold, challenger.predicted, champion.predicted
    kinds = {span: _kind(span in mine, span in gold) for span in sorted(mine ^ theirs)}
    marked = dict.fromkeys((mine & theirs) - gold, "wrong") | kinds
    seen = shown(len(text), kinds, gold | mine | theirs)
    return Item(
        number=number,
        changes=[
            Mention(kind, span.type, text[span.start : span.stop]) for span, kind in kinds.items()
        ],
        gold=pieces(text, sorted(gold), {}, seen),
        champion=pieces(text, sorted(theirs), marked, seen),
        challenger=pieces(text, sorted(mine), marked, seen),
    )


def _kind(of_challenger: bool, in_gold: bool) -> str:
    if in_gold:
        return "gained" if of_challenger else "lost"
    return "false_positive" if of_challenger else "fixed"
