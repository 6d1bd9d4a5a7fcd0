"""What a registered version brings to a promotion: its figures, its files, its predictions."""

import json
import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from yaml import YAMLError

from pipelines.errors import Exit, Refused
from pipelines.names import MODEL
from pipelines.promotion import bootstrap
from pipelines.promotion.gates import Figures
from pipelines.registry import manifest
from stages.onnx_export.onnx_files import files_sha256
from stages.scoring.predictions import Scored, read_predictions
from stages.scoring.slices import Members, read_members

T = TypeVar("T")
PREDICTIONS = "reports/predictions.jsonl"
SLICES = "reports/slices.jsonl"
F1_TOLERANCE = 1e-6  # both are of the same counts


def figures(version: ModelVersion, types: Collection[str]) -> Figures:
    """Reads the version's tags.

    Args:
        version: The version.
        types: Those whose F1 is wanted.

    Raises:
        Refused: naming each tag that it lacks or that is no number.
    """
    tags: Mapping[str, str] = version.tags
    names = ["export.f1", *(f"export.{t}.f1" for t in types), "export.logit_difference_max"]
    precision = tags.get("onnx_precision", "fp32")  # as it was before there was a choice
    if precision != "fp32":
        names += ["export.tag_agreement", "export.f1_delta"]
    numbers = {name: _number(tags.get(name, "")) for name in [*names, "export.test_sentences"]}
    lacking = [name for name, number in numbers.items() if number is None]
    lacking += [name for name in ("cuda_validated", "test_sha256") if not tags.get(name)]
    if lacking:
        raise Refused(
            Exit.FIGURES,
            f"{MODEL} version {version.version} lacks {', '.join(lacking)} among its tags, which"
            " gates need: register it anew by a run of the present code, or give --force --reason",
        )
    found = {name: number for name, number in numbers.items() if number is not None}
    return Figures(
        f1=found["export.f1"],
        type_f1={type_: found[f"export.{type_}.f1"] for type_ in types},
        logit_difference=found["export.logit_difference_max"],
        cuda_validated=tags["cuda_validated"] == "true",
        test_sha256=tags["test_sha256"],
        test_sentences=int(found["export.test_sentences"]),
        precision=precision,
        tag_agreement=found.get("export.tag_agreement", math.nan),
        f1_delta=found.get("export.f1_delta", math.nan),
    )


def fetch(version: ModelVersion, into: Path) -> Path:
    """The folder of its model, downloaded into `into` and checked against what was exported.

    Raises:
        Refused: if a file is gone, or is not what `export` wrote and what was registered.
    """
    about = f"{MODEL} version {version.version}"
    try:
        source = f"models:/{MODEL}/{version.version}"
        mlflow.artifacts.download_artifacts(source, dst_path=str(into))
        found = files_sha256(exported(into))
        labels(into)
        wrong = manifest.wrong(version, into)
    except (MlflowException, OSError, LookupError, TypeError, ValueError, YAMLError) as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refused(
            Exit.FILES,
            f"Files of {about} are gone ({words}): restore its artifacts from a backup, or run its"
            f" commit {version.tags.get('commit', '')} again",
        ) from None
    expected = version.tags.get("onnx_sha256")
    if expected and found != expected:
        raise Refused(
            Exit.FILES,
            f"model.onnx of {about} is not the file that was exported: its SHA-256 is not"
            f" {expected}; restore its artifacts from a backup",
        )
    if wrong:
        raise Refused(
            Exit.FILES,
            f"The model of {about} is not the one that was registered: {wrong}; restore its"
            " artifacts from a backup",
        )
    return into


def exported(model: Path) -> Path:
    """Where an MLflow model's folder has what `export` wrote."""
    flavour = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    path = model / str(flavour["python_function"]["artifacts"]["model"]["path"])
    if not path.resolve().is_relative_to(model.resolve()):
        raise ValueError(f"its MLmodel leads out of its folder, to {path}")
    return path


def labels(model: Path) -> list[str]:
    """The tags of its labels.json."""
    text = (exported(model) / "labels.json").read_text(encoding="utf-8")
    return [str(tag) for tag in json.loads(text)["tags"]]


def predictions(client: MlflowClient, version: ModelVersion, sentences: int) -> list[Scored]:
    """What its exported model found in each of so many test sentences.

    Raises:
        Refused: if its run has no such file, or it does not add up to the version's F1.
    """
    try:
        found = _read(client, version, PREDICTIONS, read_predictions)
    except (MlflowException, OSError, LookupError, TypeError, ValueError) as error:
        raise _gone(version, f"{type(error).__name__}: {error}") from None
    if len(found) != sentences:
        raise _gone(version, f"it has {len(found)} of {sentences} sentences")
    f1 = bootstrap.f1_of(bootstrap.counts(found))
    expected = _number(version.tags.get("export.f1", ""))
    if expected is not None and abs(f1 - expected) > F1_TOLERANCE:
        raise _gone(version, f"its F1 is {f1:.6f}, that of the version {expected:.6f}")
    return found


def slices(
    client: MlflowClient, version: ModelVersion, wanted: Collection[str]
) -> dict[str, Members]:
    """The slices that `evaluate` found in its test split, by name.

    Raises:
        Refused: if one that is wanted is not among them.
    """
    try:
        found = {each.slice: each for each in _read(client, version, SLICES, read_members)}
    except (MlflowException, OSError, TypeError, ValueError):
        found = {}  # a run of before there were any
    if lacking := sorted(set(wanted) - found.keys()):
        raise Refused(
            Exit.FIGURES,
            f"{MODEL} version {version.version} has no slice {', '.join(lacking)} in its {SLICES},"
            " for which promote.slice_f1_min has a floor: correct the name, or add it to"
            " evaluate.slices and run again, or give --force --reason",
        )
    return found


def _read(
    client: MlflowClient, version: ModelVersion, name: str, read: Callable[[Iterable[str]], list[T]]
) -> list[T]:
    """An artifact of its run; `read` is given the lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(str(version.run_id), name, folder))
        with path.open(encoding="utf-8") as file:
            return read(file)


def _gone(version: ModelVersion, words: str) -> Refused:
    return Refused(
        Exit.FILES,
        f"{PREDICTIONS} of {MODEL} version {version.version} is gone or cut"
        f" ({' '.join(words.split())}): restore the artifacts of run {version.run_id}",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
