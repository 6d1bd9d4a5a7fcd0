"""Errors with a message for the user."""

import re
from enum import IntEnum
from typing import Any

from pipelines.names import Logged

# Names whose values nobody should read: of a variable, or of a part of an address. Not that of
# stages.contract, because the process of a registered model must import nothing from stages/.
SECRET = re.compile(
    r"token|secret|passw|pwd|signature|credential|auth_string|(api|access|account)_?key$"
    r"|^(sig|key)$",
    re.IGNORECASE,
)
# `name:1/` may be user and password too, so a host with a port has a dot or is localhost.
HOST = re.compile(r"[^:@]*|(localhost|[^:@]*\.[^:@]*|\[[\da-fA-F:.]+\])(:\d*)?")


class PipelineError(Exception):
    """A failure that the user can fix: one sentence, what was wrong and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(without_password(sentence))


def without_password(text: str) -> str:
    """`text` without user, password and tokens in any address: Prefect and logs store messages."""
    text = re.sub(r"(?<=://)[^\s\"<>`]*@", lambda found: _without_login(found[0]), text)
    return re.sub(r"([?&#;])([^=&\s?#;]+)=([^&\s\"'<>`#]+)", _without_token, text)


def _without_login(start: str) -> str:
    """An address after `://` up to its last @, which a password or the path may have too."""
    host, mark, path = re.fullmatch(r"([^/?#]*)([/?#]?)(.*)", start).groups()  # type: ignore[union-attr]
    if mark and HOST.fullmatch(host):
        return host + mark + without_password(path)
    return "***@"


def _without_token(part: "re.Match[str]") -> str:
    secret = SECRET.search(part[2]) and not part[3].startswith("$")
    return f"{part[1]}{part[2]}=***" if secret else part[0]


class StageFailed(PipelineError):  # noqa: N818 - an event, like Python's KeyboardInterrupt
    """A stage that ended with an error.

    Attributes:
        stage: Its name in dvc.yaml.
        exit_code: Of the stage's command, or of DVC if the command did not run.
        lines: The last lines that it printed.
        repeat: The shell command that runs it again.
    """

    def __init__(self, stage: str, exit_code: int, lines: list[str], repeat: str) -> None:
        self.stage, self.exit_code, self.lines, self.repeat = stage, exit_code, lines, repeat
        output = "\n".join(f"  {line}" for line in lines) or "  (no output)"
        super().__init__(
            f"Stage {stage} failed with exit code {exit_code}. Its last lines:\n{output}\n"
            f"To repeat it: {repeat}"
        )

    def __repr__(self) -> str:
        """Short, for Prefect's log, which has the lines already."""
        return f"StageFailed({self.stage!r})"


class MlflowAway(PipelineError):  # noqa: N818 - a state
    """MLflow's server does not answer, so nobody can tell whether it would refuse."""


class Exit(IntEnum):
    """Exit codes of `promote`, `rollback` and `rebuild`, explained in docs/promotion.md."""

    DONE = 0
    ERROR = 1
    GATES = 3
    FILES = 4
    FIGURES = 5
    ALREADY = 6
    OTHER = 7
    NO_PREVIOUS = 8
    DIFFERS = 9


class Refused(PipelineError):  # noqa: N818 - an event
    """A promotion, rollback or rebuild that was refused.

    Attributes:
        exit_code: Of the command.
        gates: The evaluated gates, each with `name`, `passed` and `said`.
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

    @property
    def details(self) -> dict[str, Any]:
        """What --json prints beside the sentence."""
        return {"gates": self.gates, "comparison": self.comparison} if self.gates else {}


class NothingToDo(PipelineError):  # noqa: N818 - an event
    """A run that was not needed, because a finished run had the same inputs.

    Attributes:
        logged: Where that run is in MLflow.
    """

    def __init__(self, sentence: str, logged: Logged) -> None:
        self.logged = logged
        super().__init__(sentence)


class StageTimeoutError(PipelineError):
    """A stage that was stopped at its time limit."""


class RunCancelledError(PipelineError):
    """A run that the user cancelled."""
