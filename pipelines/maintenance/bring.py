"""`python -m pipelines bring`: a run's dvc.lock into the user's tree, where it then holds."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.utils.serialize import load_yaml

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.tracking import retention
from pipelines.workspaces import run_state, workspace
from stages.contract import hashing

SHOWN = 10


def bring(project: Path, what: str, with_params: bool) -> list[str]:
    """Writes the dvc.lock of `what` into `project`, so that `dvc repro` there finds all done.

    Args:
        project: Folder of the user's tree.
        what: A workspace's id or how it begins, a registered version's number, or an alias.
        with_params: Also write its params.yaml.

    Returns:
        The names of the files that were written.

    Raises:
        PipelineError: if there is no such run, its stages are not all done, or it had other
            parameters, code or dvc.yaml than the tree has; nothing is written then.
    """
    with TemporaryDirectory() as folder:
        source = _source(project, what, Path(folder) / "files")
        params = source if with_params else project
        other = list(_differences(project, params, source))
        if other:
            more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
            raise PipelineError(
                f"{what} was made with other inputs than your tree has: {'; '.join(other[:SHOWN])}"
                f"{more}. Change your tree first (--params brings the run's params.yaml as well)"
            )
        names = ["params.yaml", "dvc.lock"] if with_params else ["dvc.lock"]
        for name in names:
            partial = project / f".{name}.partial"
            shutil.copyfile(source / name, partial)
            partial.replace(project / name)
    return names


def _source(project: Path, what: str, folder: Path) -> Path:
    """A folder with dvc.lock, dvc.yaml and params.yaml."""
    if what[:1].isdecimal() and not what.isdecimal():
        made = workspace.find(project, what)
        run_state.require_done(made.path)
        return made.path
    return retention.files(project, retention.number(project, what), folder)


def _differences(project: Path, params: Path, source: Path) -> Iterator[str]:
    """What dvc.lock has of parameters and code, against the tree: each one a few words."""
    if _load(project / "dvc.yaml") != _load(source / "dvc.yaml"):
        yield "dvc.yaml"
    stages: list[dict[str, Any]] = list(_load(source / "dvc.lock")["stages"].values())
    made = {out["path"] for stage in stages for out in stage.get("outs", ())}
    code = {dep["path"]: dep.get("md5") for stage in stages for dep in stage.get("deps", ())}
    for path, md5 in sorted(code.items()):
        within = any(path == out or path.startswith(f"{out}/") for out in made)
        if not within and md5 and md5 != _md5(project, path):
            yield path
    for stage in stages:
        for file, keys in stage.get("params", {}).items():
            here = _load(params / file)
            for key, value in keys.items():
                yield from _unlike(key, _at(here, key.split(".")), value)


def _unlike(key: str, here: Any, there: Any) -> Iterator[str]:
    if isinstance(here, dict) and isinstance(there, dict):
        for inner in [*there, *(key for key in here if key not in there)]:
            yield from _unlike(f"{key}.{inner}", here.get(inner), there.get(inner))
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
    # As DVC reads and writes it: to YAML 1.1 its 5e-05 would be a text.
    return load_yaml(str(path)) if path.is_file() else {}
