"""Scores the champion on another version's test split, if its own test split is different."""

from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.dvc_repo import cache
from pipelines.errors import PipelineError
from pipelines.promotion import isolated_model
from pipelines.registry.keys import tags as tags_of
from stages.contract.errors import StageError
from stages.model.decode import Span
from stages.scoring.predictions import Scored, entities, sha256

TEST = "data/aligned/test.parquet"


def predictions(
    project: Path, client: MlflowClient, version: ModelVersion, tags: list[str], model: Path
) -> list[Scored]:
    """The entities that the model finds in each test sentence.

    The split comes from DVC's cache or remote, by the MD5 in the version's dvc.lock: MLflow has
    no copy.

    Args:
        project: The project whose DVC cache and remote are used.
        client: A client of the registry.
        version: The version whose test split is used.
        tags: The tags of its labels, in order.
        model: Folder of the model to score.

    Raises:
        PipelineError: if the split is missing, or is not the one that `version` was scored on.
    """
    from stages.text.windows_table import read_aligned  # imports pyarrow, needed here only

    name = f"The test split of version {version.version}"
    try:
        path = cache.object_path(project, _md5(client, str(version.run_id)))
        split = read_aligned(path)
    except (PipelineError, StageError, MlflowException, OSError, KeyError, TypeError) as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise PipelineError(
            f"{name} is missing ({words}): run `dvc pull {TEST}` at its commit"
            f" {version.tags.get('commit', '')}, or promote on the host of that run"
        ) from None
    cells = split.sentence_cells()
    gold = [[tags[label] for label in labels] for labels in split.sentence_labels()]
    if sha256(cells, gold) != tags_of(version)["test_sha256"]:
        raise PipelineError(f"{name} is not the one that it was scored on: run its commit again")
    texts = ["".join(sentence) for sentence in cells]
    found = isolated_model.entities(model, texts)
    return [
        Scored(
            frozenset(entities(characters, right)), frozenset(Span(*each) for each in here), text
        )
        for characters, right, here, text in zip(cells, gold, found, texts, strict=True)
    ]


def _md5(client: MlflowClient, run_id: str) -> str:
    lock = yaml.safe_load(
        Path(client.download_artifacts(run_id, "dvc.lock")).read_text(encoding="utf-8")
    )
    for stage in lock["stages"].values():
        for dep in stage.get("deps", []):
            if dep["path"] == TEST:
                return str(dep["md5"])
    raise PipelineError(f"its dvc.lock does not list {TEST}")
