"""What two versions find differently in a text, and the rows that a shadow keeps of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.prediction.resumable_output import ENTITY
from pipelines.serving import row_files
from stages.model.decode import Span
from stages.scoring.mistakes import Judged, Mistake

KINDS = {
    "type": "the same characters, another type",
    "boundary": "characters in common, and not all",
    "missed": "only the champion finds it",
    "spurious": "only the challenger finds it",
}
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("ms", "UTC")),
        ("champion", pa.string()),
        ("challenger", pa.string()),
        ("text", pa.string()),
        (
            "differences",
            pa.list_(
                pa.struct([("kind", pa.string()), ("champion", ENTITY), ("challenger", ENTITY)])
            ),
        ),
    ]
)
"""A row for each text that both versions answered; `text` is null if they agree."""
Entity = Mapping[str, Any]
# As `stages.scoring.mistakes` names a mistake, if the champion were the gold.
OF_MISTAKES = {"type": "type", "missed": "missed", "false_positive": "spurious"}


def differences(
    text: str, champion: Sequence[Entity], challenger: Sequence[Entity]
) -> list[dict[str, Any]]:
    """Each entity that only one of them finds, with the other's that shares most characters.

    Returns:
        Rows of `kind`, of KINDS, and the entities `champion` and `challenger`, of which one may be
        None. A pair is one row.
    """
    theirs, mine = _by_span(champion), _by_span(challenger)
    judged = Judged(text, sorted(theirs), sorted(mine), {})
    found, paired = [], set[Span]()
    for mistake in sorted(judged.mistakes, key=lambda mistake: not mistake.in_gold):
        if mistake.span in paired:
            continue
        other = _nearest(mistake)
        old, new = (mistake.span, other) if mistake.in_gold else (other, mistake.span)
        paired |= {span for span in (old, new) if span}
        found.append(
            {
                "kind": OF_MISTAKES.get(mistake.kind, "boundary"),
                "champion": theirs[old] if old else None,
                "challenger": mine[new] if new else None,
            }
        )
    return found


def read(folder: Path, champion: str, challenger: str) -> Iterator[dict[str, Any]]:
    """The rows of two versions, of all files of a folder, the oldest first."""
    return row_files.read(folder, [("champion", "==", champion), ("challenger", "==", challenger)])


def _by_span(entities: Sequence[Entity]) -> dict[Span, dict[str, Any]]:
    return {
        Span(entity["start"], entity["end"], entity["type"]): {
            field.name: entity.get(field.name) for field in ENTITY
        }
        for entity in entities
    }


def _nearest(mistake: Mistake) -> Span | None:
    span = mistake.span
    return max(
        mistake.against,
        key=lambda other: min(other.stop, span.stop) - max(other.start, span.start),
        default=None,
    )
