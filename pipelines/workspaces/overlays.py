"""Merges overlays over params.yaml and checks every section of the result."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml

from pipelines.errors import PipelineError
from pipelines.settings import Promote, Run, Watch
from pipelines.workspaces import merging
from pipelines.workspaces.merging import Values
from stages.contract.errors import StageError
from stages.contract.section import Section, read
from stages.params.params import Params

S = TypeVar("S", bound=Section)


class Sections(NamedTuple):
    """All of params.yaml: the stages' sections, and the three that are no stage's."""

    stages: Params
    promote: Promote
    run: Run
    watch: Watch


def sections(
    project: Path, overlays: Sequence[Path] = (), overrides: Values | None = None
) -> Sections:
    """The project's params.yaml with the overlays merged; writes nothing in the project.

    Raises:
        PipelineError: if there is no params.yaml, or a section is not valid.
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


def layers(project: Path, overlays: Sequence[Path]) -> dict[str, Path]:
    """Name in messages → path of params.yaml and of the overlays, in the order of merging."""
    return {"params.yaml": project / "params.yaml"} | {str(layer): layer for layer in overlays}


def merge(overlays: Sequence[Path], path: Path, overrides: Values | None = None) -> Sections:
    """Merges the overlays, then `overrides`, into the params.yaml `path`, and checks every section.

    Returns:
        The merged sections.

    Raises:
        PipelineError: with each wrong key of the result.
    """
    last = {"the run's overrides": overrides} if overrides else {}
    about = " with ".join(["params.yaml", *map(str, overlays), *last])
    try:
        layers = {"params.yaml": merging.text(path)}
        layers |= {str(layer): merging.text(layer) for layer in overlays}
        if overlays or overrides:
            values = merging.values("params.yaml", layers["params.yaml"])
            others = [merging.values(str(o), layers[str(o)]) for o in overlays]
            for overlay in [*others, overrides or {}]:
                merging.merge(values, overlay)
            text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
            path.write_text(f"# {about}\n{text}", encoding="utf-8")
        # On one line, as overrides have no line numbers.
        layers |= {name: yaml.safe_dump(v, default_flow_style=True) for name, v in last.items()}
        return _checked(path, layers if len(layers) > 1 else {"": layers["params.yaml"]})
    except (StageError, PipelineError) as error:
        raise PipelineError(str(error).replace(str(path), about)) from None


def _checked(path: Path, layers: dict[str, str]) -> Sections:
    """Every section; raises the errors of all of them at once."""
    errors: list[str] = []

    def section(kind: type[S], whole: bool = False) -> S | None:
        try:
            return read(kind, path, whole, layers)
        except StageError as error:
            message = str(error)
            if not message.startswith(f"{path}: "):  # no YAML, or no such section
                if errors:
                    return None  # `whole` has reported it
                raise
            errors.append(message.removeprefix(f"{path}: "))
            return None

    stages, promote = section(Params, whole=True), section(Promote)
    run, watch = section(Run), section(Watch)
    if not (stages and promote and run and watch):
        raise PipelineError(f"{path}: " + "; ".join(errors))
    if stages.export.precision == "int8" and promote.require_cuda:
        raise PipelineError(
            f"{path}: export.precision is int8, which CUDA does not run, so promote.require_cuda"
            " would refuse every version: set it to false, or precision: fp16"
        )
    types = stages.align.types
    if stages.download.growing and not types:
        raise PipelineError(
            f"{path}: download.growing needs align.types, the entity types by name: else a mistyped"
            " one in any new file would become a type of the model"
        )
    for name, definition in stages.evaluate.slices.items():
        if types and definition.type and definition.type not in types:
            raise PipelineError(
                f"{path}: evaluate.slices.{name}.type is {definition.type}, which align.types lacks"
            )
    return Sections(stages, promote, run, watch)
