"""Finds the entities of texts with the registered model."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

from pipelines.errors import PipelineError
from pipelines.names import REGISTER_FIRST
from pipelines.prediction import stages_contract
from pipelines.prediction.readers import Input, Row, open_input
from pipelines.prediction.resumable_output import check_output, open_partial
from pipelines.registry import aliases
from pipelines.registry.registry import Registry
from pipelines.tracking import connection

ALIASES = (aliases.CHAMPION, aliases.CHALLENGER)
BATCH_CHARACTERS = 2**22


@dataclass(frozen=True)
class Model:
    """A loaded model: its MLflow id, and a function that returns one dict per row."""

    id: str
    predict: Callable[[pd.DataFrame], list[dict[str, Any]]]


@dataclass(frozen=True)
class Wanted:
    """Which model to load: that of the MLflow URI, or else the champion or challenger of `name`."""

    name: str
    uri: str | None = None


def predict(
    project: Path,
    texts: list[str],
    source: Path | None,
    column: str,
    output: Path | None,
    batch_size: int,
    model: Wanted,
    restart: bool,
) -> None:
    """Prints or writes one row per text, in order: `{"text", "entities", "error", "provider"}`.

    `open_input` and `open_partial` describe the other arguments.

    Raises:
        PipelineError: if there is no such model, or the input or output cannot be used.
    """
    if batch_size < 1:
        raise PipelineError(f"--batch-size is {batch_size}: give 1 or more")
    if output is not None:
        check_output(output, source)
    given = open_input(texts, source, column)
    loaded = load(project, model)
    if output is None:
        for lines, _ in _predicted(loaded, given.rows, batch_size):
            print(*lines, sep="\n", flush=True)
    else:
        _write(loaded, given, output, batch_size, restart)


def load(project: Path, model: Wanted) -> Model:
    """Loads a model.

    Raises:
        PipelineError: if there is no such model, or it does not load.
    """
    if connection.nothing_logged(project):
        raise PipelineError(f"No version of {model.name} is registered. {REGISTER_FIRST}")
    try:
        client = connection.connect(project)
        uri = model.uri or registered(Registry(client, model.name))
        with redirect_stdout(sys.stderr):  # ONNX Runtime prints what it cannot load
            loaded = mlflow.pyfunc.load_model(_in_place(uri))
    except PipelineError:
        raise
    except Exception as error:  # a model has its own code
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise PipelineError(
            connection.refusal(error) or f"Cannot load {model.uri or model.name} ({words})"
        ) from None
    return Model(str(loaded.metadata.model_id or loaded.metadata.model_uuid), loaded.predict)


def _in_place(uri: str) -> str:
    """The folder of a registered model if it is on this machine.

    By a version's name MLflow would write a file there, which a read-only project does not allow.
    """
    place = uri
    if uri.startswith("models:"):
        place = str(ModelsArtifactRepository.get_underlying_uri(uri))  # type: ignore[no-untyped-call]
    return place if place.startswith("file:") else uri


def _write(loaded: Model, given: Input, output: Path, batch_size: int, restart: bool) -> None:
    failed = 0
    with open_partial(output, loaded.id, restart) as partial:
        done = partial.skip_done(json.dumps(_json_value(row.value)) for row in given.rows)
        if done:
            print(f"Resuming after row {done}", file=sys.stderr)
        total = done
        with stages_contract.load("progress").progress(given.total, "predict", "row") as bar:
            bar.update(done)
            for lines, errors in _predicted(loaded, given.rows, batch_size):
                partial.add(lines)
                total += len(lines)
                failed += errors
                bar.update(len(lines))
        partial.finish()
    print(f"Wrote {output}: {total} rows, {failed} of the new ones with an error", file=sys.stderr)


def _predicted(
    loaded: Model, rows: Iterator[Row], batch_size: int
) -> Iterator[tuple[list[str], int]]:
    """For each batch, its lines of JSON and how many of them have an error."""
    for batch in _batches(rows, batch_size):
        good = [row.value for row in batch if row.error is None]
        # The string type of pandas refuses half a surrogate pair; the model reports it in that row.
        frame = pd.DataFrame({"text": pd.Series(good, dtype=object)})
        with pd.option_context("future.infer_string", False), redirect_stdout(sys.stderr):
            found = iter(loaded.predict(frame) if good else [])
        lines, failed = [], 0
        for row in batch:
            refused: dict[str, Any] = {"entities": [], "error": row.error, "provider": None}
            answer = next(found) if row.error is None else refused
            failed += answer["error"] is not None
            line = json.dumps({"text": _json_value(row.value), **answer}, ensure_ascii=False)
            lines.append(line.encode("utf-8", "backslashreplace").decode())
        yield lines, failed


def _batches(rows: Iterator[Row], batch_size: int) -> Iterator[list[Row]]:
    """Batches of at most `batch_size` rows, fewer if the rows are long."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row.value) if isinstance(row.value, str) else 0
        if len(batch) == batch_size or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _json_value(value: Any) -> Any:
    """`value`, or what stands for it if JSON cannot represent it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return None if isinstance(value, float) else str(value)
    except RecursionError:
        return None
    return value


def registered(registry: Registry) -> str:
    """The URI of the champion, or else of the challenger; prints on stderr which one it is.

    Raises:
        PipelineError: if there is neither.
    """
    for alias in ALIASES:
        version = aliases.by_alias(registry, alias)
        if version:
            print(f"Using version {version} of {registry.model}, the {alias}", file=sys.stderr)
            return f"models:/{registry.model}@{alias}"
    raise PipelineError(f"No version of {registry.model} is registered. {REGISTER_FIRST}")
