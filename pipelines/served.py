"""The registered model: text in, entities with offsets in the caller's own string out.

Logged as code (`mlflow.models.set_model`): MLflow runs this file wherever the model is loaded, with
`stages/` from the model's own folder on the path, so nothing else of pipelines/ is imported.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Served(PythonModel):
    """Reads a column `text`, a list or a Series; gives one dict a row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the session, tokenizer and windows."""
        # Not above: this file also runs where it is logged, and that needs no ONNX Runtime.
        from stages.ner.tagger import Tagger

        self.tagger = Tagger(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: Any = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Gives `{"entities": [...], "error": null or a sentence}` a row, in order.

        An entity is `{"text", "type", "start", "end", "score"}`; offsets count code points.
        Input never makes it raise: MLflow's server would answer with a stack trace.
        """
        rows = _rows(model_input)
        errors = [_error(row) for row in rows]
        good = [row for row, error in zip(rows, errors, strict=True) if error is None]
        found = iter(self.tagger(good))
        return [
            {"entities": [asdict(entity) for entity in next(found)] if error is None else []}
            | {"error": error}
            for error in errors
        ]


def _rows(model_input: Any) -> list[Any]:
    if isinstance(model_input, pd.DataFrame):
        columns = model_input.columns
        return list(model_input["text" if "text" in columns else columns[0]])
    return [model_input] if isinstance(model_input, str) else list(model_input)


def _error(row: Any) -> str | None:
    if not isinstance(row, str):
        return f"text must be a string, it is {type(row).__name__}"
    try:
        row.encode()
    except UnicodeEncodeError as error:
        return f"text has half of a surrogate pair at {error.start}, which is no character"
    return None


mlflow.models.set_model(Served())
