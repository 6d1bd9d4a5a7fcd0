"""Loads a registered version beside those in use, and checks it before anyone gets its answers."""

import json
import math
import shutil
import signal
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipelines.errors import PipelineError
from pipelines.names import OURS
from pipelines.registry import keys, manifest, versions
from pipelines.registry.registry import Registry
from pipelines.serving import invocations

PREDICTIONS = "reports/predictions.jsonl"
SENTENCES = 16  # of the test split, whose answers are compared
AGREEMENT_MIN = 0.9  # of them: on another provider than export's, a close decision may differ
# ONNX Runtime plans memory at the first text of a length.
WARM_CHARACTERS, WARM_TEXTS = (8, 32, 128, 512), (1, 8)
TERMINATED = 128 + signal.SIGTERM  # with which the command line exits on that signal
# Which modules are a version's is known by what its loading added.
ONE_AT_ONCE = threading.Lock()
Row = dict[str, Any]
"""An answer: `entities`, `error` and `provider`."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A version that answers; when nobody has it any more, its code and files are deleted.

    Attributes:
        version: Its number.
        provider: ONNX Runtime's.
        answer: One row for each text, in order. Threads may call it at once.
    """

    version: str
    provider: str
    answer: Callable[[Sequence[Any]], list[Row]] = field(repr=False)


def load(registry: Registry, number: str) -> Loaded:
    """Loads a version into this process, under module names of its own, and warms it.

    Raises:
        PipelineError: if its files are missing or changed, or its answers are wrong.
    """
    with ONE_AT_ONCE:
        try:
            return _load(registry, number)
        finally:
            # MLflow would keep the model that was loaded last.
            mlflow.models.model.__mlflow_model__ = None


def _load(registry: Registry, number: str) -> Loaded:
    name = f"version {number} of {registry.model}"
    folder = Path(tempfile.mkdtemp(prefix=f"{OURS}-serve-"))
    before = set(sys.modules)
    try:
        version = versions.get(registry, number)
        uri = f"models:/{registry.model}/{number}"
        mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
        if changed := manifest.difference_to(version, folder):
            raise PipelineError(f"it is not the one that was registered: {changed}")
        with redirect_stdout(sys.stderr):  # ONNX Runtime prints what it cannot load
            model: Any = mlflow.pyfunc.load_model(str(folder)).unwrap_python_model()
        _has_own_code(model)
        loaded = Loaded(number, model.tagger.provider, lambda rows: model.predict(None, rows))
        _check_example(loaded, folder)
        _check_predictions(loaded, registry.client, version)
        _warm(loaded)
    except BaseException as error:  # a model has its own code, which may exit
        _forget(folder, set(sys.modules) - before)
        if isinstance(error, KeyboardInterrupt) or error.args == (TERMINATED,):
            raise
        words = " ".join(str(error).split()) or type(error).__name__
        raise PipelineError(f"Cannot serve {name}: {words}") from error
    weakref.finalize(loaded, _forget, folder, set(sys.modules) - before)
    return loaded


def _forget(folder: Path, modules: set[str]) -> None:
    """Deletes a version's files, and the modules that bear names of its own."""
    for name in modules:
        if name.startswith(("stages_", "code_model_")):
            sys.modules.pop(name, None)
    shutil.rmtree(folder, ignore_errors=True)


def _has_own_code(model: Any) -> None:
    """Raises PipelineError if the model's code is imported as `stages`, as that of old versions."""
    if type(model.tagger).__module__.partition(".")[0] == "stages":
        raise PipelineError(
            "its code would replace that of other versions in this process: serve it by"
            " `mlflow models serve`, or run its commit again"
        )


def _check_example(loaded: Loaded, folder: Path) -> None:
    """Raises PipelineError if the answer to the version's input example is no answer."""
    texts = invocations.rows((folder / "serving_input_example.json").read_bytes())
    _answers(loaded, texts)


def _answers(loaded: Loaded, texts: list[str]) -> list[Row]:
    """The rows of texts; raises PipelineError if one is no answer."""
    rows = loaded.answer(texts)
    for text, row in zip(texts, rows, strict=True):
        wrong = row["error"] or [e for e in row["entities"] if not _possible(e, text)]
        if wrong:
            raise PipelineError(f"it answers the text {text!r} with {wrong}")
    return rows


def _possible(entity: dict[str, Any], text: str) -> bool:
    at_its_place = entity["text"] == text[entity["start"] : entity["end"]] != ""
    return at_its_place and math.isfinite(entity["score"]) and 0 <= entity["score"] <= 1


def _check_predictions(loaded: Loaded, client: MlflowClient, version: ModelVersion) -> None:
    """Raises PipelineError if it finds other entities in test sentences than `export` found."""
    expected = _predictions(client, version)
    if not expected:
        return
    rows = _answers(loaded, [text for text, _ in expected])
    found = [{(e["start"], e["end"], e["type"]) for e in row["entities"]} for row in rows]
    same = sum(mine == theirs for mine, (_, theirs) in zip(found, expected, strict=True))
    if same < AGREEMENT_MIN * len(expected):
        raise PipelineError(
            f"it answers {same} of {len(expected)} test sentences as {PREDICTIONS} of"
            f" {keys.named(version)} has them; at least {AGREEMENT_MIN:.0%} must agree"
        )


def _predictions(
    client: MlflowClient, version: ModelVersion
) -> list[tuple[str, set[tuple[int, int, str]]]]:
    """The shortest test sentences that the run's file has the text of, with their entities.

    None if the run has no such file, or the file no text: it has those of wrong sentences only.
    """
    run, above = str(version.run_id), str(Path(PREDICTIONS).parent)
    if PREDICTIONS not in {file.path for file in client.list_artifacts(run, above)}:
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run, PREDICTIONS, folder)
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = sorted(
        (row for row in map(json.loads, lines) if row.get("text")),
        key=lambda row: len(row["text"]),
    )
    return [
        (row["text"], {(start, end, kind) for start, end, kind in row["predicted"]})
        for row in rows[:SENTENCES]
    ]


def _warm(loaded: Loaded) -> None:
    for characters in WARM_CHARACTERS:
        for texts in WARM_TEXTS:
            loaded.answer(["中" * characters] * texts)
