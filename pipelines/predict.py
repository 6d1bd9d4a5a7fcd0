"""Entities of texts by the registered model."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from pipelines import registry, summary, tracking
from pipelines.errors import PipelineError

ALIASES = ("champion", registry.ALIAS)


def predict(project: Path, texts: list[str], model: str | None) -> Iterator[str]:
    """One line of JSON a text: `{"text", "entities", "error"}`.

    `model` is an MLflow URI; without one, the champion, or the challenger while there is none.

    Raises:
        PipelineError: if there is no such model.
    """
    _say_if_nothing_is_there(project)
    with redirect_stdout(sys.stderr):  # ONNX Runtime prints what it misses; stdout is JSON alone
        rows = _rows(project, texts, model)
    for text, row in zip(texts, rows, strict=True):
        line = json.dumps({"text": text, **row}, ensure_ascii=False)
        yield line.encode("utf-8", "backslashreplace").decode()


def _rows(project: Path, texts: list[str], model: str | None) -> list[dict[str, Any]]:
    try:
        client = tracking.connect(project)
        uri = model or _registered(client)
        loaded = mlflow.pyfunc.load_model(uri)
    except PipelineError:
        raise
    except Exception as error:  # a model brings code of its own
        words = " ".join(str(error).split())
        raise PipelineError(
            f"{model or registry.MODEL} cannot be loaded ({type(error).__name__}: {words})"
        ) from None
    # pandas' own strings refuse half a surrogate pair, which the model answers in that row.
    with pd.option_context("future.infer_string", False):
        rows: list[dict[str, Any]] = loaded.predict(pd.DataFrame({"text": texts}))
    return rows


def _registered(client: mlflow.MlflowClient) -> str:
    for alias in ALIASES:
        version = registry.by_alias(client, alias)
        if version:
            print(f"{registry.MODEL} version {version}, the {alias}", file=sys.stderr)
            return f"models:/{registry.MODEL}@{alias}"
    raise PipelineError(_nothing())


def _say_if_nothing_is_there(project: Path) -> None:
    """Without making an empty mlflow.db, as connecting would."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (project / "mlflow.db").exists():
        raise PipelineError(_nothing())


def _nothing() -> str:
    return (
        f"No version of {registry.MODEL} is registered yet: `make run` trains one on the sample,"
        f" `{summary.python()} -m pipelines run` does the real job"
    )
