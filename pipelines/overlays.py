"""Overlays over params.yaml: merged in turn, and every section of the result checked."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines.errors import PipelineError
from pipelines.settings import Promote, Run
from stages.errors import StageError
from stages.params import Params
from stages.section import read

Values = dict[str, Any]  # of params.yaml, or some of them


class Sections(NamedTuple):
    """All of params.yaml: the stages' sections, and the two that are no stage's."""

    stages: Params
    promote: Promote
    run: Run


def sections(project: Path, overlays: Sequence[Path] = ()) -> Sections:
    """The project's params.yaml, overlays merged over it in turn; nothing there is written.

    Raises:
        PipelineError: if there is none, or any section is not valid.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        try:
            shutil.copy(project / path.name, path)
        except FileNotFoundError:
            raise PipelineError(
                f"{project} has no params.yaml: run from the project's own folder"
            ) from None
        return merge(overlays, path)


def merge(overlays: Sequence[Path], path: Path, overrides: Values | None = None) -> Sections:
    """Merges the overlays, then `overrides`, into the params.yaml `path`, and checks every section.

    Returns:
        What is in it now.

    Raises:
        PipelineError: naming each wrong key of the result.
    """
    given = ["the run's overrides"] if overrides else []
    about = " with ".join(["params.yaml", *map(str, overlays), *given])
    try:
        if overlays or overrides:
            values = _load(path)
            for overlay in [*map(_load, overlays), overrides or {}]:
                _merge(values, overlay)
            text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
            path.write_text(f"# {about}\n{text}", encoding="utf-8")
        return Sections(read(Params, path, whole=True), read(Promote, path), read(Run, path))
    except (StageError, PipelineError) as error:
        raise PipelineError(str(error).replace(str(path), about)) from None


def _load(layer: Path) -> Values:
    try:
        values = yaml.safe_load(layer.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{layer}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{layer} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{layer} has no sections: it must hold keys as params.yaml does")
    return values


def _merge(into: Values, update: Values) -> None:
    """As DVC's own, which is not there in the image of the stages, where `doctor` reads this."""
    for key, value in update.items():
        if isinstance(into.get(key), dict) and isinstance(value, dict):
            _merge(into[key], value)
        else:
            into[key] = value
