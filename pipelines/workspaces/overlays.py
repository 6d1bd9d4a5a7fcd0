"""Overlays over params.yaml: merged in turn, and every section of the result checked."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from pipelines.errors import PipelineError
from pipelines.settings import Promote, Run
from stages.contract.errors import StageError
from stages.contract.section import Section, read
from stages.params.params import Params

S = TypeVar("S", bound=Section)
Values = dict[str, Any]  # of params.yaml, or some of them


class Sections(NamedTuple):
    """All of params.yaml: the stages' sections, and the two that are no stage's."""

    stages: Params
    promote: Promote
    run: Run


def sections(
    project: Path, overlays: Sequence[Path] = (), overrides: Values | None = None
) -> Sections:
    """The project's params.yaml, as `merge` would leave it; nothing there is written.

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
        return merge(overlays, path, overrides)


def merge(overlays: Sequence[Path], path: Path, overrides: Values | None = None) -> Sections:
    """Merges the overlays, then `overrides`, into the params.yaml `path`, and checks every section.

    Returns:
        What is in it now.

    Raises:
        PipelineError: naming each wrong key of the result.
    """
    given = {"the run's overrides": overrides} if overrides else {}
    about = " with ".join(["params.yaml", *map(str, overlays), *given])
    try:
        layers = {"params.yaml": _text(path)} | {str(layer): _text(layer) for layer in overlays}
        if overlays or overrides:
            values = _values("params.yaml", layers["params.yaml"])
            for overlay in [*(_values(str(o), layers[str(o)]) for o in overlays), overrides or {}]:
                _merge(values, overlay)
            text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
            path.write_text(f"# {about}\n{text}", encoding="utf-8")
        # On one line: it has no other.
        layers |= {name: yaml.safe_dump(v, default_flow_style=True) for name, v in given.items()}
        return _checked(path, layers if len(layers) > 1 else {"": layers["params.yaml"]})
    except (StageError, PipelineError) as error:
        raise PipelineError(str(error).replace(str(path), about)) from None


def _checked(path: Path, layers: dict[str, str]) -> Sections:
    """Every section, each error of all of them at once."""
    said: list[str] = []

    def section(kind: type[S], whole: bool = False) -> S | None:
        try:
            return read(kind, path, whole, layers)
        except StageError as error:
            words = str(error)
            if not words.startswith(f"{path}: "):  # no YAML, or no such section
                if said:
                    return None  # as `whole` has said
                raise
            said.append(words.removeprefix(f"{path}: "))
            return None

    stages, promote, run = section(Params, whole=True), section(Promote), section(Run)
    if not (stages and promote and run):
        raise PipelineError(f"{path}: " + "; ".join(said))
    if stages.export.precision == "int8" and promote.require_cuda:
        raise PipelineError(
            f"{path}: export.precision is int8, which CUDA does not run, so promote.require_cuda"
            " would refuse every version: set it to false, or precision: fp16"
        )
    learnt = stages.align.types
    for name, wanted in stages.evaluate.slices.items():
        if learnt and wanted.type and wanted.type not in learnt:
            raise PipelineError(
                f"{path}: evaluate.slices.{name}.type is {wanted.type}, which align.types lacks"
            )
    return Sections(stages, promote, run)


def _text(layer: Path) -> str:
    try:
        return layer.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"{layer}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{layer} is not YAML: {error}") from None


def _values(name: str, text: str) -> Values:
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PipelineError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{name} has no sections: it must hold keys as params.yaml does")
    return values


def _merge(into: Values, update: Values) -> None:
    """As DVC's own, which is not there in the image of the stages, where `doctor` reads this."""
    for key, value in update.items():
        if isinstance(into.get(key), dict) and isinstance(value, dict):
            _merge(into[key], value)
        else:
            into[key] = value
