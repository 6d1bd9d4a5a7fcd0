"""The SHA-256 of each file of a registered model: logged with it, checked before it is used."""

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.entities.model_registry import ModelVersion

from pipelines.registry.keys import tags
from stages.contract.hashing import as_text, checksums, difference, from_text

FILE = "checksums.sha256"  # artifact of the run, for `sha256sum --check` in the model's folder
TAG = "checksums_sha256"  # tag of the run and the version: the SHA-256 of FILE
ADDED = "registered_model_meta"  # MLflow adds this file when it downloads a version


def log(model_uri: str) -> None:
    """Logs the manifest of the model just logged to the active run, from the model in MLflow."""
    with TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(model_uri, dst_path=folder)
        text = as_text(_found(Path(folder)))
    mlflow.log_text(text, FILE)
    mlflow.set_tag(TAG, _sha256(text.encode()))


def difference_to(version: ModelVersion, model: Path) -> str | None:
    """Describes how the folder `model` differs from what was logged; None if it does not.

    Deletes compiled Python files in it: they would run instead of the code that is checked.
    Versions registered before there was a manifest have none. For the others the tag of the run, or
    else the model itself tells that there was one: a deleted tag hides no change.

    Raises:
        MlflowException, OSError, ValueError: the manifest is missing or unreadable.
    """
    run = mlflow.get_run(str(version.run_id))
    expected = tags(version).get(TAG) or run.data.tags.get(TAG)
    if expected is None:
        lost = "code_sha256" in (model / "MLmodel").read_text(encoding="utf-8")
        return f"the tag {TAG} of the version and of its run was deleted" if lost else None
    with TemporaryDirectory() as folder:
        file = {"run_id": str(version.run_id), "artifact_path": FILE}
        content = Path(mlflow.artifacts.download_artifacts(**file, dst_path=folder)).read_bytes()
    if _sha256(content) != expected:
        return f"{FILE} has SHA-256 {_sha256(content)}, not {expected}"
    return difference(_found(model), from_text(content.decode()))


def _found(model: Path) -> dict[str, str]:
    for compiled in list(model.rglob("__pycache__")):
        shutil.rmtree(compiled)
    return {name: digest for name, digest in checksums(model).items() if name != ADDED}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
