"""The sections of params.yaml that are not a stage's.

They are here and not in stages/params.py, on which every stage depends: a changed gate re-runs
nothing.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages.params import Fraction, Positive, Section, Seed

Milliseconds = Annotated[float, Field(gt=0)]


class Latency(Section):
    """The budget of one text, measured with the version's own model on the host that promotes."""

    characters: list[Positive] = Field(min_length=1, description="Lengths of the texts")
    texts: Annotated[int, Field(ge=20)] = Field(description="Timed one by one, of each length")
    p50_ms_max: Milliseconds = Field(description="Median, at the slowest length")
    p99_ms_max: Milliseconds = Field(description="99th percentile, at the slowest length")


class Promote(Section):
    """The gates that a version passes before it becomes the champion."""

    f1_min: Fraction = Field(description="Of the exported file, over all types")
    type_f1_min: dict[str, Fraction] = Field(description="Of the exported file, a type each")
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
    require_cuda: bool = Field(description="The exported file must have run on CUDA")
    latency: Latency


def gates(project: Path, overlays: Sequence[Path] = ()) -> Promote:
    """The section `promote` of the project's params.yaml, overlays merged over it in turn.

    Raises:
        PipelineError: if there is none, or any section is not valid.
    """
    from pipelines import workspace

    workspace.require_project(project)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(project / "params.yaml", folder))
        return workspace.merge_params(list(overlays), path)
