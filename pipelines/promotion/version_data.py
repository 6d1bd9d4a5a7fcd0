"""Reads the data of a version from DVC's cache or remote, by its dvc.lock: MLflow has no copy."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.dvc_repo import cache
from pipelines.errors import PipelineError
from pipelines.registry.keys import tags as tags_of
from stages.contract.errors import StageError
from stages.model.decode import Span
from stages.scoring.predictions import entities, sha256

ALIGNED = "data/aligned"


@dataclass(frozen=True)
class Split:
    """The test sentences of a version."""

    texts: list[str]
    gold: list[frozenset[Span]]
    """The entities of each, by the characters of its text."""


def read(project: Path, client: MlflowClient, version: ModelVersion, tags: list[str]) -> Split:
    """The test split that `version` was scored on.

    Args:
        project: The project whose DVC cache and remote are used.
        client: A client of the registry.
        version: The version.
        tags: The tags of its labels, in order.

    Raises:
        PipelineError: if the split is missing, or is another one.
    """
    from stages.text.windows_table import read_aligned  # imports pyarrow, needed here only

    try:
        split = read_aligned(_path(project, client, version, "test"))
    except StageError as error:
        raise _missing(version, "test", error) from None
    cells = split.sentence_cells()
    gold = [[tags[label] for label in labels] for labels in split.sentence_labels()]
    if sha256(cells, gold) != tags_of(version)["test_sha256"]:
        raise PipelineError(
            f"The test split of version {version.version} is not the one that it was scored on:"
            " run its commit again"
        )
    return Split(
        ["".join(sentence) for sentence in cells],
        [frozenset(entities(*each)) for each in zip(cells, gold, strict=True)],
    )


def training_characters(
    project: Path, client: MlflowClient, version: ModelVersion
) -> frozenset[str]:
    """The characters of the train split of `version`; raises as `read`."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = set[str]()
    with pq.ParquetFile(_path(project, client, version, "train")) as file:
        for part in file.iter_batches(columns=["cells"]):
            found.update(*pc.unique(pc.list_flatten(part["cells"])).to_pylist())
    return frozenset(found)


def _path(project: Path, client: MlflowClient, version: ModelVersion, split: str) -> Path:
    try:
        lock = Path(client.download_artifacts(str(version.run_id), "dvc.lock"))
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"].values()
        return cache.object_path(project, _md5(project, list(stages), f"{split}.parquet"))
    except (PipelineError, MlflowException, OSError, KeyError, TypeError) as error:
        raise _missing(version, split, error) from None


def _md5(project: Path, stages: list[Any], file: str) -> str:
    """That of a file of `ALIGNED`: a dep itself, or in the list of the folder."""
    for deps in (stage.get("deps", []) for stage in stages):
        for dep in deps:
            if dep["path"] == f"{ALIGNED}/{file}":
                return str(dep["md5"])
            if dep["path"] == ALIGNED:
                listed = json.loads(cache.object_path(project, dep["md5"]).read_bytes())
                md5 = {each["relpath"]: each["md5"] for each in listed}
                return str(md5[file])
    raise PipelineError(f"its dvc.lock does not list {ALIGNED}/{file}")


def _missing(version: ModelVersion, split: str, error: Exception) -> PipelineError:
    words = " ".join(str(error).split()).rstrip(".")
    return PipelineError(
        f"The {split} split of version {version.version} is missing ({words}): run `dvc pull"
        f" {ALIGNED}/{split}.parquet` at its commit {version.tags.get('commit', '')}, or use the"
        " host of that run"
    )
