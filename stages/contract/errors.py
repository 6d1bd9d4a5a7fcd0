"""The error that a user reads."""


class StageError(Exception):
    """A failure that the user can fix: one sentence, what was wrong and what to do."""
