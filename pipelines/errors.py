"""The errors that a person reads."""


class PipelineError(Exception):
    """A failure that the user can mend: one sentence, what was wrong and what to do."""


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


class StageTimeoutError(PipelineError):
    """A stage that was ended because its time was over."""


class RunCancelledError(PipelineError):
    """A run that was ended because someone asked for it."""
