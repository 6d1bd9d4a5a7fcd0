"""Reads params.yaml and overlays as YAML, merges them, and tells the model's name.

It imports nothing from stages/: a process that loads a registered model needs the name, and the
model brings `stages` of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import PipelineError
from pipelines.names import MODEL, MODEL_NAME

Values = dict[str, Any]  # the contents of params.yaml, or a part of them


def model_name(project: Path, overlays: Sequence[Path] = ()) -> str:
    """`run.model` of the project's params.yaml with the overlays; checks no other key.

    So it also reads the params.yaml of an older commit, which lacks what is required now. A folder
    without one has the name that models had before there was a key.

    Raises:
        PipelineError: if a file is no YAML, or the name is not valid.
    """
    layers: Values = {}
    for layer in [project / "params.yaml", *overlays]:
        if overlays or layer.is_file():
            merge(layers, values(str(layer), text(layer)))
    run = layers.get("run")
    name = run.get("model", MODEL) if isinstance(run, dict) else MODEL
    if not isinstance(name, str) or not MODEL_NAME.fullmatch(name):
        about = " with ".join(map(str, ["params.yaml", *overlays]))
        raise PipelineError(
            f"run.model of {about} is {name!r}: give up to 100 letters, digits, `.`, `_` and `-`,"
            " the first a letter or digit"
        )
    return name


def text(layer: Path) -> str:
    """The text of a file.

    Raises:
        PipelineError: if it cannot be read, or is not UTF-8.
    """
    try:
        return layer.read_text(encoding="utf-8")
    except OSError as error:
        looked = "" if layer.is_absolute() else f": {layer.absolute()}"
        raise PipelineError(f"{layer}: {error.strerror}{looked}") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{layer} is not YAML: {error}") from None


def values(name: str, text: str) -> Values:
    """The sections of a file `name` with this text.

    Raises:
        PipelineError: if it has none, or is no YAML.
    """
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PipelineError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise PipelineError(f"{name} has no sections: it must have keys as params.yaml has")
    return found


def merge(into: Values, update: Values) -> None:
    """As DVC's own merge, which `doctor` cannot import in the image of the stages."""
    for key, value in update.items():
        if isinstance(into.get(key), dict) and isinstance(value, dict):
            merge(into[key], value)
        else:
            into[key] = value
