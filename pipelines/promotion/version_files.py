"""Reads a registered version's figures, files and predictions."""

import json
import math
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from yaml import YAMLError

from pipelines.errors import Exit, Refused
from pipelines.promotion.gates import Figures
from pipelines.registry import keys, manifest
from stages.onnx_export.onnx_files import files_sha256
from stages.scoring.predictions import Scored, read_predictions
from stages.scoring.slices import Members, read_members
from stages.scoring.spans import counts, micro_f1

T = TypeVar("T")
PREDICTIONS = "reports/predictions.jsonl"
SLICES = "reports/slices.jsonl"
F1_TOLERANCE = 1e-6  # both are of the same counts


def figures(version: ModelVersion, types: Collection[str]) -> Figures:
    """Reads the version's tags.

    Args:
        version: The version.
        types: The entity types whose F1 is needed.

    Raises:
        Refused: naming each tag that is missing or not a number.
    """
    tags = keys.tags(version)
    names = ["export.f1", *(f"export.{t}.f1" for t in types), "test.ece"]
    names.append("export.logit_difference_max")
    precision = tags.get("onnx_precision", "fp32")  # older versions have no such tag
    if precision != "fp32":
        names += ["export.tag_agreement", "export.f1_delta"]
    numbers = {name: _number(tags.get(name, "")) for name in [*names, "export.test_sentences"]}
    missing = [name for name, number in numbers.items() if number is None]
    missing += [name for name in ("cuda_validated", "test_sha256") if not tags.get(name)]
    if missing:
        raise Refused(
            Exit.FIGURES,
            f"Version {version.version} of {version.name} lacks the tags {', '.join(missing)},"
            " which the gates need: run its commit again with the current code, or give --force"
            " --reason",
        )
    found = {name: number for name, number in numbers.items() if number is not None}
    return Figures(
        f1=found["export.f1"],
        type_f1={type_: found[f"export.{type_}.f1"] for type_ in types},
        logit_difference=found["export.logit_difference_max"],
        ece=found["test.ece"],
        cuda_validated=tags["cuda_validated"] == "true",
        test_sha256=tags["test_sha256"],
        test_sentences=int(found["export.test_sentences"]),
        precision=precision,
        tag_agreement=found.get("export.tag_agreement", math.nan),
        f1_delta=found.get("export.f1_delta", math.nan),
    )


def fetch(version: ModelVersion, into: Path) -> Path:
    """Downloads its model into the folder `into`, and checks it against the exported files.

    Raises:
        Refused: if a file is missing, or is not the one that was exported and registered.
    """
    name = keys.named(version)
    try:
        source = f"models:/{version.name}/{version.version}"
        mlflow.artifacts.download_artifacts(source, dst_path=str(into))
        found = files_sha256(exported(into))
        labels(into)
        changed = manifest.difference_to(version, into)
    except (MlflowException, OSError, LookupError, TypeError, ValueError, YAMLError) as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refused(
            Exit.FILES,
            f"Files of {name} are missing ({words}): restore its artifacts from a backup, or run"
            f" its commit {version.tags.get('commit', '')} again",
        ) from None
    expected = keys.tags(version).get("onnx_sha256")
    if expected and found != expected:
        raise Refused(
            Exit.FILES,
            f"model.onnx of {name} is not the file that was exported: its SHA-256 is not"
            f" {expected}; restore its artifacts from a backup",
        )
    if changed:
        raise Refused(
            Exit.FILES,
            f"The model of {name} is not the one that was registered: {changed}; restore its"
            " artifacts from a backup",
        )
    return into


def exported(model: Path) -> Path:
    """The folder in an MLflow model that has the output of `export`."""
    flavour = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    path = model / str(flavour["python_function"]["artifacts"]["model"]["path"])
    if not path.resolve().is_relative_to(model.resolve()):
        raise ValueError(f"its MLmodel points outside its folder, to {path}")
    return path


def labels(model: Path) -> list[str]:
    """The tags in its labels.json."""
    text = (exported(model) / "labels.json").read_text(encoding="utf-8")
    return [str(tag) for tag in json.loads(text)["tags"]]


def types(model: Path) -> list[str]:
    """The entity types of those tags."""
    return [tag[2:] for tag in labels(model) if tag.startswith("B-")]


def predictions(client: MlflowClient, version: ModelVersion, sentences: int) -> list[Scored]:
    """The entities that its exported model found in each of the test sentences.

    Raises:
        Refused: if the file is missing, or does not give the version's F1.
    """
    try:
        found = _read(client, version, PREDICTIONS, read_predictions)
    except (MlflowException, OSError, LookupError, TypeError, ValueError) as error:
        raise _unusable(version, f"{type(error).__name__}: {error}") from None
    if len(found) != sentences:
        raise _unusable(version, f"it has {len(found)} of {sentences} sentences")
    f1 = micro_f1(counts(found))
    expected = _number(keys.tags(version).get("export.f1", ""))
    if expected is not None and abs(f1 - expected) > F1_TOLERANCE:
        raise _unusable(version, f"its F1 is {f1:.6f}, the version's is {expected:.6f}")
    return found


def slices(
    client: MlflowClient, version: ModelVersion, wanted: Collection[str]
) -> dict[str, Members]:
    """Name → slice of its test split, as `evaluate` found them.

    Raises:
        Refused: if one of `wanted` is not among them.
    """
    try:
        found = {each.slice: each for each in _read(client, version, SLICES, read_members)}
    except (MlflowException, OSError, TypeError, ValueError):
        found = {}  # older runs have no slices
    if missing := sorted(set(wanted) - found.keys()):
        raise Refused(
            Exit.FIGURES,
            f"{SLICES} of {keys.named(version)} has no slice {', '.join(missing)},"
            " for which promote.slice_f1_min has a floor: correct the name, or add it to"
            " evaluate.slices and run again, or give --force --reason",
        )
    return found


def _read(
    client: MlflowClient, version: ModelVersion, name: str, read: Callable[[Iterable[str]], list[T]]
) -> list[T]:
    """What `read` makes of the lines of an artifact of its run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(str(version.run_id), name, folder))
        with path.open(encoding="utf-8") as file:
            return read(file)


def _unusable(version: ModelVersion, words: str) -> Refused:
    return Refused(
        Exit.FILES,
        f"{PREDICTIONS} of {keys.named(version)} is missing or damaged"
        f" ({' '.join(words.split())}): restore the artifacts of run {version.run_id}",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
