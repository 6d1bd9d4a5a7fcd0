"""The error that a user reads, and the lists in its message."""

from collections.abc import Sequence

NAMED = 30


class StageError(Exception):
    """A failure that the user can fix: one sentence, what was wrong and what to do."""


def listed(names: Sequence[str]) -> str:
    """`A, B, C`; of many only the first `NAMED`, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
