"""The errors that a person reads."""

import re
from enum import IntEnum
from typing import Any

from pipelines.names import Logged


class PipelineError(Exception):
    """A failure that the user can mend: one sentence, what was wrong and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(without_password(sentence))


def without_password(text: str) -> str:
    """`text` with no user and password in any address: Prefect and logs keep what is said."""
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)


class StageFailed(PipelineError):  # noqa: N818 - as Python's own KeyboardInterrupt, an event
    """A stage that ended with an error.

    Attributes:
        stage: Its name in dvc.yaml.
        exit_code: Of the stage's command, or of DVC where the command did not run.
        lines: The last lines that it printed.
        repeat: The shell command that repeats it.
    """

    def __init__(self, stage: str, exit_code: int, lines: list[str], repeat: str) -> None:
        self.stage, self.exit_code, self.lines, self.repeat = stage, exit_code, lines, repeat
        said = "\n".join(f"  {line}" for line in lines) or "  (it printed nothing)"
        super().__init__(
            f"Stage {stage} failed with exit code {exit_code}. Its last lines:\n{said}\n"
            f"To repeat it: {repeat}"
        )

    def __repr__(self) -> str:
        """Short, for Prefect's log, which holds the lines already."""
        return f"StageFailed({self.stage!r})"


class Exit(IntEnum):
    """How `promote`, `rollback` and `rebuild` end; README.md tables what to do about each."""

    DONE = 0
    ERROR = 1
    GATES = 3
    FILES = 4
    FIGURES = 5
    ALREADY = 6
    OTHER = 7
    NO_PREVIOUS = 8
    DIFFERS = 9


class Refused(PipelineError):  # noqa: N818 - as StageFailed, an event
    """A promotion or rollback that did not come about.

    Attributes:
        exit_code: Of the command.
        gates: Where they were asked, each with `name`, `passed` and `said`.
        comparison: Where comparison.html is, if there is one.
    """

    def __init__(
        self,
        exit_code: Exit,
        sentence: str,
        gates: list[dict[str, Any]] | None = None,
        comparison: str | None = None,
    ) -> None:
        self.exit_code, self.gates, self.comparison = exit_code, gates or [], comparison
        super().__init__(sentence)


class NothingToDo(PipelineError):  # noqa: N818 - as StageFailed, an event
    """A run that was not needed: a finished one had the same inputs.

    Attributes:
        logged: Where MLflow has that one.
    """

    def __init__(self, sentence: str, logged: Logged) -> None:
        self.logged = logged
        super().__init__(sentence)


class StageTimeoutError(PipelineError):
    """A stage that was ended because its time was over."""


class RunCancelledError(PipelineError):
    """A run that was ended because someone asked for it."""
