"""The sections of params.yaml that no stage reads: gates, limits of runs, and of traffic.

They are not in stages/params/, on which the stages depend, so changing this file re-runs no stage.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipelines.errors import PipelineError
from pipelines.names import MODEL, MODEL_NAME
from stages.contract.errors import StageError
from stages.contract.section import Fraction, Positive, Section, Seed, read

OTHERS = "others"
Milliseconds = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
ModelName = Annotated[str, Field(pattern=f"^{MODEL_NAME.pattern}$")]


def _without_null(floors: Any) -> Any:
    if not isinstance(floors, dict):
        return floors
    return {type_: floor for type_, floor in floors.items() if floor is not None}


class Latency(Section):
    """The latency budget of one text, measured through the model on the host that promotes."""

    characters: list[Positive] = Field(min_length=1, description="Lengths of the texts")
    texts: Annotated[int, Field(ge=20)] = Field(
        description="Number of texts of each length, timed one by one"
    )
    p50_ms_max: Milliseconds = Field(description="Median, at the slowest length")
    p99_ms_max: Milliseconds = Field(description="99th percentile, at the slowest length")


class ShadowGate(Section):
    """How much a version may differ from the champion on texts that `serve --shadow` compared."""

    disagreement_max: Fraction = Field(
        description="Upper end of the interval of the share of texts with a difference"
    )
    texts_min: Positive = Field(description="Number of texts that both must have answered")
    folder: str = Field(description="Of the files, `--shadow-folder`; relative to the project")


class Promote(Section):
    """The gates that a version must pass to become the champion."""

    f1_min: Fraction = Field(description="F1 of the exported file over all types")
    type_f1_min: Annotated[dict[str, Fraction], BeforeValidator(_without_null)] = Field(
        description="F1 of the exported file by type; null in an overlay removes the floor"
    )
    slice_f1_min: Annotated[dict[str, Fraction], BeforeValidator(_without_null)] = Field(
        description="F1 of the exported file by slice of evaluate.slices"
    )
    ece_max: Fraction = Field(
        description="Calibration error of the scores on the test split; 1 lets every one pass"
    )
    not_worse_by: Fraction = Field(
        description="How far the lower end of the interval of the F1 difference to the champion"
        " may be below 0"
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Confidence of that interval"
    )
    bootstrap_samples: Annotated[int, Field(ge=100)] = Field(
        description="Bootstrap samples of the test sentences"
    )
    seed: Seed = Field(description="Seed of the bootstrap")
    logit_difference_max: Annotated[float, Field(gt=0)] = Field(
        description="Largest difference between ONNX and torch, fp32"
    )
    tag_agreement_min: Fraction = Field(
        description="Share of tokens with the same tag as torch, other precisions"
    )
    f1_delta_max: Fraction = Field(
        description="Difference from torch's F1, up or down, other precisions"
    )
    comparison_sentences: Positive = Field(
        description="Sentences in comparison.html, those that differ most"
    )
    require_cuda: bool = Field(description="The exported file must have run on CUDA")
    shadow: ShadowGate | None = Field(description="null: what was served is not asked")
    latency: Latency


class Run(Section):
    """The model's name, time limits of stages, the disk space a run needs, what `gc` keeps."""

    model: ModelName = Field(
        # The only default here: commits from before this key have none, and go by this name.
        default=MODEL,
        description="Name of the registered model and of its experiment in MLflow: letters, digits,"
        " `.`, `_`, `-`; two corpora in one checkout have two names",
    )
    stage_timeout_s: dict[str, Seconds] = Field(
        description="Stage → time limit; `others`, if given, applies to all other stages"
    )
    free_disk_gb: Annotated[float, Field(ge=0)] = Field(
        description="Refuse to start with less (10^9 bytes), or with less than the last run used"
    )
    keep_workspaces: Positive = Field(
        description="Number of complete runs to keep, and of failed or cancelled ones"
    )

    def timeout_s(self, stage: str) -> float | None:
        """The time limit of `stage`; None if it has none."""
        return self.stage_timeout_s.get(stage, self.stage_timeout_s.get(OTHERS))


class Watch(Section):
    """How far the texts that are served may differ from the test split before it is told."""

    folder: str = Field(description="Of `serve --log-requests`; relative to the project")
    texts_min: Annotated[int, Field(ge=20)] = Field(
        description="With fewer texts nothing is compared; the next night takes them too"
    )
    texts_max: Positive = Field(description="With more texts, so many of them are drawn")
    silent_days: Positive = Field(
        description="A log to which no server has written for so long is an error"
    )
    significance: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Probability that a night tells of a shift where there is none"
    )
    distance_min: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Smallest distance of two distributions (Kolmogorov-Smirnov) that matters"
    )
    f1_drop_max: Fraction = Field(
        description="How far the interval of the estimated F1 may be below the test split's"
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Confidence of that interval"
    )
    bootstrap_samples: Annotated[int, Field(ge=100)] = Field(
        description="Bootstrap samples of the texts"
    )
    seed: Seed = Field(description="Seed of the bootstrap, and of the draw of texts")
    examples: Positive = Field(description="Texts on the page for each measure that has shifted")


def read_run(path: Path) -> Run:
    """The section `run` of the params.yaml at `path`.

    Raises:
        PipelineError: with every error of the section, each with its key and value.
    """
    try:
        return read(Run, path)
    except StageError as error:
        raise PipelineError(str(error)) from None
