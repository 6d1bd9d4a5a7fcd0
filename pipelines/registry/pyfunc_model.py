"""The registered model: text in, entities with offsets in the caller's string out.

It is logged as code (`mlflow.models.set_model`): MLflow runs this file where the model is loaded,
beside `code/stages`. So it imports nothing else from pipelines/. That `stages` is imported under a
name of its own: a process may hold several versions, and the project's own `stages`.
"""

import importlib.util
import math
import os
import sys
import uuid
from collections.abc import Iterator
from numbers import Number
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

MAX_TEXT_CHARACTERS = 2**20
"""Limit of one text, and of all texts in the tagger at once: it bounds the memory of a request."""
# The name that MLflow, or Spark, gives to the only column of a list or a Series.
NAMELESS = (0, "0")
CODE = Path(__file__).with_name("code") / "stages"  # where MLflow puts `code_paths`


class Served(PythonModel):
    """Takes a column `text`, a list or a Series; returns one dict per row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the session, tokenizer and windows.

        `OMP_NUM_THREADS` limits the session's threads: Spark sets it to the CPUs of a task, and
        ONNX Runtime does not read it. Exits with an error message if a file is not the one that was
        registered, or if `NER_REQUIRE_CUDA` is set and CUDA does not work.
        """
        # Imported here: this file also runs where it is logged, without need for ONNX Runtime.
        stages = _own_stages()
        hashing = importlib.import_module(f"{stages}.contract.hashing")
        tagger = importlib.import_module(f"{stages}.serving.tagger")
        folder = Path(context.artifacts["model"])
        config = context.model_config or {}
        files, code = (
            hashing.from_text(config.get(key, "")) for key in ("files_sha256", "code_sha256")
        )
        wrong = hashing.difference(hashing.checksums(folder), files)
        if CODE.is_dir() and not wrong:
            found = hashing.checksums(CODE).items()
            sources = {name: digest for name, digest in found if "__pycache__" not in name}
            wrong = hashing.difference(sources, code)
        if wrong:
            sys.exit(
                f"The model in {folder} is not the one that was registered: {wrong}; restore"
                " MLflow's artifacts from a backup"
            )
        threads = os.environ.get("OMP_NUM_THREADS", "")
        self.tagger = tagger.Tagger(folder, int(threads) if threads.isdecimal() else None)
        if os.environ.get("NER_REQUIRE_CUDA", "0") != "0" and "CUDA" not in self.tagger.provider:
            sys.exit(
                f"NER_REQUIRE_CUDA is set and ONNX Runtime offers {self.tagger.provider} only:"
                " check the NVIDIA driver with `nvidia-smi`, or unset it to serve on the CPU"
            )

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: Any = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Returns `{"entities": [...], "error": null or a sentence, "provider": name}` per row.

        An entity is `{"text", "type", "start", "end", "score", "passed"}`; offsets count code
        points.
        No input makes it raise: MLflow's server would answer with a stack trace.
        """
        rows, refused = _rows(model_input)
        errors = [refused or _error(row) for row in rows]
        good = [row for row, error in zip(rows, errors, strict=True) if error is None]
        found = (entities for texts in _bounded(good) for entities in self.tagger(texts))
        return [
            {
                "entities": [dict(vars(entity)) for entity in next(found)] if error is None else [],
                "error": error,
                "provider": self.tagger.provider,
            }
            for error in errors
        ]


def _own_stages() -> str:
    """The name of the package `stages` that was logged with this file; `stages` in the project.

    What is imported from it must import its neighbours relatively: `from ..text.cells import ...`.
    """
    if not CODE.is_dir():
        return "stages"
    # MLflow has put it on the path, where it would be taken for the project's `stages`.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != CODE.parent.resolve()]
    name = f"stages_{uuid.uuid4().hex}"  # as MLflow names this file's module, anew for each load
    places: dict[str, Any] = {"submodule_search_locations": [str(CODE)]}
    spec: Any = importlib.util.spec_from_file_location(name, CODE / "__init__.py", **places)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return name


def _rows(model_input: Any) -> tuple[list[Any], str | None]:
    """The texts, and an error that applies to all of them."""
    if isinstance(model_input, pd.DataFrame):
        columns = list(model_input.columns)
        if "text" in columns:
            return list(model_input["text"]), None
        # MLflow passes the first column only, and another column may precede `text`.
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
    """The JSON type of a row; in pandas, the Python type would depend on the other rows."""
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
