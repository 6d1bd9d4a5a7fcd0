"""Lists the stages and reports of a workspace."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx
from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.repo import Repo
from dvc_data.hashfile.build import build

from pipelines.errors import PipelineError
from pipelines.workspaces import clean_environment

MEASURED = ".measured"  # the folder of what stages measure, below a workspace


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, the names of the stages whose outs it reads, and its reports."""

    name: str
    upstream: tuple[str, ...]
    reports: tuple[Path, ...] = field(default=(), compare=False)


def stages(workspace: Path) -> list[Stage]:
    """The stages of `workspace` in order of dependency.

    Raises:
        PipelineError: with DVC's message, if dvc.yaml is not valid.
    """
    with opened(workspace) as repo:
        return [
            Stage(
                name_of(stage),
                tuple(sorted(name_of(up) for up in repo.index.graph.successors(stage))),
                tuple(_reports(stage.outs, workspace)),
            )
            for stage in in_order(repo)
        ]


def in_order(repo: Any) -> Iterator[Any]:
    """DVC's own stages, each after those that it depends on."""
    graph = repo.index.graph  # an edge goes from a stage to one that it depends on
    stages: Iterator[Any] = networkx.lexicographical_topological_sort(graph.reverse(), key=name_of)
    return stages


def not_cached(workspace: Path) -> list[str]:
    """The stages that `dvc repro` would run for want of an out in the cache, in order.

    Raises:
        PipelineError: with DVC's message, if dvc.yaml or dvc.lock is not valid.
    """
    with opened(workspace) as repo:
        lacking = {name_of(stage) for stage in repo.index.stages if not stage.outs_cached()}
    return [stage.name for stage in stages(workspace) if stage.name in lacking]


def reports(workspace: Path) -> dict[str, Path]:
    """The files that dvc.yaml declares as metrics or plots, or as outs below reports/.

    Returns:
        Path below the workspace → absolute path, for each file that exists.
    """
    with opened(workspace) as repo:
        declared = list(_reports(repo.index.outs, workspace))
    return existing(workspace, declared)


def existing(workspace: Path, reports: Iterable[Path]) -> dict[str, Path]:
    """The files that are or lie in `reports`: path below the workspace → absolute path."""
    files = {
        file
        for path in reports
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    }
    return {file.relative_to(workspace).as_posix(): file for file in sorted(files)}


def _reports(outs: Iterable[Any], workspace: Path) -> Iterator[Path]:
    for out in outs:
        path = Path(out.fs_path)
        if out.metric or out.plot or path.is_relative_to(workspace / "reports"):
            yield path


def model_folder(workspace: Path) -> Path:
    """The path that dvc.yaml declares as its artifact of type `model`.

    Its name there is not asked: in an older commit it is that of the registered model.

    Raises:
        PipelineError: if it does not declare one such artifact, or the path does not exist.
    """
    with opened(workspace) as repo:
        declared = repo.artifacts.read().get("dvc.yaml", {})
    found = [artifact for artifact in declared.values() if artifact.type == "model"]
    if len(found) != 1:
        raise PipelineError(
            f"dvc.yaml declares {len(found)} artifacts of type model: declare one under"
            " `artifacts:`, with the path that `export` writes"
        )
    path = workspace / str(found[0].path)
    if not path.exists():
        raise PipelineError(f"{path} is missing: a stage of dvc.yaml must write it")
    return path


def environment(remotes: bool = False) -> dict[str, str]:
    """The environment variables of a command in a workspace; with `remotes` the keys of those.

    Raises:
        PipelineError: if NER_PASS names a variable that is not set.
    """
    # A workspace has no virtual environment: `python` in a command is the present interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return clean_environment.make(remotes) | {"PATH": path, "PYTHONUNBUFFERED": "1"}


@contextmanager
def opened(workspace: Path) -> Iterator[Any]:
    """DVC's `Repo` of `workspace`; raises its errors as PipelineError."""
    try:
        with Repo(str(workspace)) as repo:
            yield repo
    except DvcException as error:
        words = " ".join(f"{error} {error.__cause__ or ''}".split())
        # DVC names files relative to the current folder.
        words = words.replace(f"{os.path.relpath(workspace)}/", "").replace(f"{workspace}/", "")
        raise PipelineError(f"DVC cannot read the stages: {words}") from None


def folder_md5(workspace: Path, folder: str) -> str:
    """The hash of `folder` in dvc.lock, without files that .dvcignore names."""
    with opened(workspace) as repo:
        path, how = str(workspace / folder), {"ignore": repo.dvcignore, "dry_run": True}
        _, _, tree = build(repo.cache.local, path, localfs, "md5", **how)
    return str(tree.hash_info.value)


def name_of(stage: Any) -> str:
    """The name of a stage as `dvc repro` takes it in the workspace's folder."""
    file, name = stage.path_in_repo, getattr(stage, "name", None)
    return str(name if name and file == "dvc.yaml" else f"{file}:{name}" if name else file)
