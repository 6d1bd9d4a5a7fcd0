"""Scores the champion on another version's test split, if its own test split is different."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipelines.promotion import isolated_model, version_data
from stages.model.decode import Span
from stages.scoring.predictions import Scored


def predictions(
    project: Path, client: MlflowClient, version: ModelVersion, tags: list[str], model: Path
) -> list[Scored]:
    """The entities that the model finds in each test sentence.

    Args:
        project: The project whose DVC cache and remote are used.
        client: A client of the registry.
        version: The version whose test split is used.
        tags: The tags of its labels, in order.
        model: Folder of the model to score.

    Raises:
        PipelineError: if the split is missing, or is not the one that `version` was scored on.
    """
    split = version_data.read(project, client, version, tags)
    found = isolated_model.entities(model, split.texts)
    return [
        Scored(right, frozenset(Span(*each) for each in here), text)
        for right, here, text in zip(split.gold, found, split.texts, strict=True)
    ]
