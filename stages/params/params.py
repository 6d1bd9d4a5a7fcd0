"""All of params.yaml, for the pipelines; a stage reads only its own section."""

from typing import Any

from pydantic import Field

from stages.contract.section import Section
from stages.params.align import Align
from stages.params.download import Download
from stages.params.evaluate import Evaluate
from stages.params.export import Export
from stages.params.train import Train


class Params(Section):
    """All of params.yaml."""

    download: Download
    align: Align
    train: Train
    evaluate: Evaluate
    export: Export
    promote: dict[str, Any] = Field(description="Of no stage: see pipelines/settings.py")
    run: dict[str, Any] = Field(description="Of no stage: see pipelines/settings.py")
    watch: dict[str, Any] = Field(description="Of no stage: see pipelines/settings.py")
