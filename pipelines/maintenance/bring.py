"""Copies a run's dvc.lock into the user's tree, if the tree has the same inputs."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.utils.serialize import load_yaml

from pipelines.dvc_repo import remote
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.tracking import connection, retention
from pipelines.workspaces import merging, run_state, workspace
from stages.contract import hashing
from stages.fetching.growing import GROWING

SHOWN = 10


@dataclass(frozen=True)
class Brought:
    """What `bring` did, and what `dvc repro` will find.

    Attributes:
        names: The files written.
        not_cached: The stages of which DVC's cache lacks an out, in order.
        remote: The name of the default DVC remote; None if none is set.
    """

    names: list[str]
    not_cached: list[str]
    remote: str | None


def bring(project: Path, source: str, with_params: bool) -> Brought:
    """Writes the dvc.lock of `source` into `project`: `dvc repro` need only check the outs out.

    Args:
        project: Folder of the user's tree.
        source: A workspace's id or its first characters; or a version's number or alias, of the
            model that the tree's params.yaml names.
        with_params: Also write the run's params.yaml.

    Raises:
        PipelineError: if there is no such run, a stage is not done, or its parameters, code or
            dvc.yaml differ from the tree's; nothing is written then.
    """
    with TemporaryDirectory() as folder:
        files = _files(project, source, Path(folder) / "files")
        params = files if with_params else project
        changes = list(_differences(project, params, files))
        if changes:
            more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
            raise PipelineError(
                f"The inputs of {source} differ from your tree: {'; '.join(changes[:SHOWN])}{more}."
                " Change your tree first (--params also writes the run's params.yaml)"
            )
        names = ["params.yaml", "dvc.lock"] if with_params else ["dvc.lock"]
        for name in names:
            partial = project / f".{name}.partial"
            shutil.copyfile(files / name, partial)
            partial.replace(project / name)
    return Brought(names, dvc_stages.not_cached(project), remote.name(project))


def _files(project: Path, source: str, folder: Path) -> Path:
    """A folder with dvc.lock, dvc.yaml and params.yaml."""
    if source[:1].isdecimal() and not source.isdecimal():
        made = workspace.find(project, source)
        run_state.require_done(made.path)
        return made.path
    version = retention.version_of(project, source, merging.model_name(project))
    return retention.fetch_files(connection.connect(project), version, folder)


def _differences(project: Path, params: Path, files: Path) -> Iterator[str]:
    """Each parameter and code file of dvc.lock that differs from the tree, in a few words."""
    if _load(project / "dvc.yaml") != _load(files / "dvc.yaml"):
        yield "dvc.yaml"
    stages: list[dict[str, Any]] = list(_load(files / "dvc.lock")["stages"].values())
    made = {out["path"] for stage in stages for out in stage.get("outs", ())}
    code = {dep["path"]: dep.get("md5") for stage in stages for dep in stage.get("deps", ())}
    for path, md5 in sorted(code.items()):
        within = any(path == out or path.startswith(f"{out}/") for out in made)
        if not within and md5 and md5 != _md5(project, path):
            taken = files / path / GROWING
            yield f"{path} (copy {taken} there)" if taken.is_dir() else path
    for stage in stages:
        for file, keys in stage.get("params", {}).items():
            here = _load(params / file)
            for key, value in keys.items():
                yield from _changes(key, _at(here, key.split(".")), value)


def _changes(key: str, here: Any, there: Any) -> Iterator[str]:
    if isinstance(here, dict) and isinstance(there, dict):
        for inner in [*there, *(key for key in here if key not in there)]:
            yield from _changes(f"{key}.{inner}", here.get(inner), there.get(inner))
    elif here != there:
        yield f"{key} is {here!r} here and {there!r} there"


def _at(values: Any, keys: list[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _md5(project: Path, path: str) -> str | None:
    if (project / path).is_dir():
        return dvc_stages.folder_md5(project, path)
    file = project / path
    return hashing.md5(file) if file.is_file() else None


def _load(path: Path) -> Any:
    # DVC's own reader: YAML 1.1 would read 5e-05 as a string.
    return load_yaml(str(path)) if path.is_file() else {}
