"""The registered model: text in, entities with offsets in the caller's own string out.

Logged as code (`mlflow.models.set_model`): MLflow runs this file wherever the model is loaded, with
`stages/` from the model's own folder on the path, so nothing else of pipelines/ is imported.
"""

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from numbers import Number
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.pyfunc.utils import serving_data_parser

MAX_TEXT_CHARACTERS = 2**20
"""Of a text, and of all that are in the tagger at once: bounds the memory of a request."""
# How MLflow calls the one column of a list or a Series, and Spark of a column of its own.
NAMELESS = (0, "0")
SERVER_HAS_SET = "__pyfunc_model_path__"


class Served(PythonModel):
    """Reads a column `text`, a list or a Series; gives one dict a row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the session, tokenizer and windows.

        Ends the process with a sentence where a file is not the one that was registered, or
        `NER_REQUIRE_CUDA` is set and CUDA does not work.
        """
        # Not above: this file also runs where it is logged, and that needs no ONNX Runtime.
        from stages.contract.hashing import checksums, difference
        from stages.serving.tagger import Tagger

        folder = Path(context.artifacts["model"])
        expected = (context.model_config or {}).get("files_sha256", {})
        wrong = difference(checksums(folder), expected)
        if wrong:
            sys.exit(
                f"The model in {folder} is not the one that was registered: {wrong}; restore"
                " MLflow's artifacts from a backup"
            )
        self.tagger = Tagger(folder)
        if os.environ.get("NER_REQUIRE_CUDA", "0") != "0" and "CUDA" not in self.tagger.provider:
            sys.exit(
                f"NER_REQUIRE_CUDA is set and ONNX Runtime offers {self.tagger.provider} only:"
                " check the NVIDIA driver with `nvidia-smi`, or unset it to serve on the CPU"
            )
        if SERVER_HAS_SET in os.environ:
            # In the server's own process. pandas' own strings refuse half a surrogate pair, and
            # then MLflow the whole request.
            pd.set_option("future.infer_string", False)
            _answer_what_cannot_be_read()

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: Any = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Gives `{"entities": [...], "error": null or a sentence, "provider": name}` a row.

        An entity is `{"text", "type", "start", "end", "score"}`; offsets count code points.
        Input never makes it raise: MLflow's server would answer with a stack trace.
        """
        rows, refused = _rows(model_input)
        errors = [refused or _error(row) for row in rows]
        good = [row for row, error in zip(rows, errors, strict=True) if error is None]
        found = (entities for texts in _bounded(good) for entities in self.tagger(texts))
        return [
            {
                "entities": [asdict(entity) for entity in next(found)] if error is None else [],
                "error": error,
                "provider": self.tagger.provider,
            }
            for error in errors
        ]


def _answer_what_cannot_be_read() -> None:
    """Lets MLflow's server say 400 and a sentence where it would say 500, or show a stack trace.

    It reads a request before any model sees it, and only refuses in words what it has thought of.
    """
    theirs = scoring_server.invocations
    # Keys of language models (`input`, `messages`, `prompt`) would give an answer of another form.
    serving_data_parser.SUPPORTED_LLM_FORMATS.clear()

    def invocations(*arguments: Any) -> Any:
        try:
            return theirs(*arguments)  # type: ignore[no-untyped-call]
        except MlflowException as error:
            trace = error.json_kwargs.pop("stack_trace", None)
            if trace and "while evaluating the model" in error.message:  # no user's error, but ours
                print(trace, file=sys.stderr)
            raise
        except Exception as error:
            raise MlflowException(
                f"The request cannot be read ({type(error).__name__}): send JSON such as"
                ' {"inputs": ["text", ...]}',
                error_code=BAD_REQUEST,
            ) from None

    scoring_server.invocations = invocations


def _rows(model_input: Any) -> tuple[list[Any], str | None]:
    """The texts, and what is wrong with all of them."""
    if isinstance(model_input, pd.DataFrame):
        columns = list(model_input.columns)
        if "text" in columns:
            return list(model_input["text"]), None
        # MLflow hands on the first column alone: another than `text` may stand before it.
        wrong = None if columns[0] in NAMELESS else f"the first column must be text: {columns[0]!r}"
        return list(model_input.iloc[:, 0]), wrong
    return [model_input] if isinstance(model_input, str) else list(model_input), None


def _error(row: Any) -> str | None:
    if row is None or row is pd.NA or (isinstance(row, float) and math.isnan(row)):
        return "text is null"
    if not isinstance(row, str):
        return f"text must be a string, it is {_kind(row)}"
    if len(row) > MAX_TEXT_CHARACTERS:
        return f"text has {len(row)} characters, {MAX_TEXT_CHARACTERS} are allowed: split it"
    try:
        row.encode()
    except UnicodeEncodeError as error:
        return f"text has half of a surrogate pair at {error.start}, which is no character"
    return None


def _kind(row: Any) -> str:
    """JSON's word for it; Python's would depend on the other rows, as pandas' floats do."""
    if isinstance(row, bool):
        return "a boolean"
    if isinstance(row, Number):
        return "a number"
    if isinstance(row, dict):
        return "an object"
    return "a list" if isinstance(row, list | tuple | np.ndarray) else type(row).__name__


def _bounded(texts: list[str]) -> Iterator[list[str]]:
    """`texts` in groups of at most `MAX_TEXT_CHARACTERS`."""
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > MAX_TEXT_CHARACTERS:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group


mlflow.models.set_model(Served())
