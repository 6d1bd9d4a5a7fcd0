"""The sections of params.yaml that are no stage's: how `python -m pipelines` runs the stages."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipelines.errors import PipelineError
from stages.errors import StageError
from stages.params import Positive, Section, read

OTHERS = "others"
Seconds = Annotated[float, Field(gt=0)]


class Run(Section):
    """How a run is ended, what it needs and what `gc` keeps."""

    stage_timeout_s: dict[str, Seconds] = Field(
        description="Stage → when it is ended; `others`, if given, is for all that are not named"
    )
    free_disk_gb: Annotated[float, Field(ge=0)] = Field(
        description="Refuse to start with less (10^9 bytes), or with less than the last run took"
    )
    keep_workspaces: Positive = Field(
        description="Of complete runs, the last so many; of failed and cancelled ones as many"
    )

    def timeout_s(self, stage: str) -> float | None:
        """After which `stage` is ended; None: never."""
        return self.stage_timeout_s.get(stage, self.stage_timeout_s.get(OTHERS))


def read_run(path: Path) -> Run:
    """The section `run` of the params.yaml at `path`.

    Raises:
        PipelineError: every error of the section at once, each with its key and value.
    """
    try:
        return read(Run, path)
    except StageError as error:
        raise PipelineError(str(error)) from None
