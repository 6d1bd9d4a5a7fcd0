"""The error that a person reads."""


class StageError(Exception):
    """A failure that the user can mend: one sentence, what was wrong and what to do."""
