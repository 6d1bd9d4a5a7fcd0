"""The sections of params.yaml that are no stage's: the gates, and how the stages are run.

They are here and not in stages/params/, on which the stages depend: a change re-runs nothing.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.section import Fraction, Positive, Section, Seed, read

OTHERS = "others"
Milliseconds = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


def _without_null(floors: Any) -> Any:
    if not isinstance(floors, dict):
        return floors
    return {type_: floor for type_, floor in floors.items() if floor is not None}


class Latency(Section):
    """The budget of one text, measured with the version's own model on the host that promotes."""

    characters: list[Positive] = Field(min_length=1, description="Lengths of the texts")
    texts: Annotated[int, Field(ge=20)] = Field(description="Timed one by one, of each length")
    p50_ms_max: Milliseconds = Field(description="Median, at the slowest length")
    p99_ms_max: Milliseconds = Field(description="99th percentile, at the slowest length")


class Promote(Section):
    """The gates that a version passes before it becomes the champion."""

    f1_min: Fraction = Field(description="Of the exported file, over all types")
    type_f1_min: Annotated[dict[str, Fraction], BeforeValidator(_without_null)] = Field(
        description="Of the exported file, a type each; null, as an overlay may say: no floor"
    )
    slice_f1_min: Annotated[dict[str, Fraction], BeforeValidator(_without_null)] = Field(
        description="Of the exported file, a slice each, as evaluate.slices names it"
    )
    not_worse_by: Fraction = Field(
        description="How far the lower end of the interval of the F1 difference to the champion"
        " may be below 0"
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(description="Of that interval")
    bootstrap_samples: Annotated[int, Field(ge=100)] = Field(description="Of the test sentences")
    seed: Seed = Field(description="Of the bootstrap")
    logit_difference_max: Annotated[float, Field(gt=0)] = Field(
        description="ONNX against torch, fp32"
    )
    tag_agreement_min: Fraction = Field(description="Tokens with torch's tag, other precisions")
    f1_delta_max: Fraction = Field(description="To torch's F1, either way, other precisions")
    comparison_sentences: Positive = Field(
        description="Shown in comparison.html, those that differ most"
    )
    require_cuda: bool = Field(description="The exported file must have run on CUDA")
    latency: Latency


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
