"""Prepares a run: makes its workspace and asks whether the run is needed. Imports no Prefect."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.corpus_check import growing, local_sources
from pipelines.corpus_check.growing import Taken
from pipelines.dvc_repo import cache
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.dvc_repo.preloaded import Dvc
from pipelines.errors import NothingToDo, PipelineError
from pipelines.flows import up_to_date
from pipelines.registry import serving_code
from pipelines.tracking import connection, unfinished
from pipelines.tracking.connection import Need, Project
from pipelines.workspaces import disk, run_state, runtime, workspace
from pipelines.workspaces.merging import Values
from pipelines.workspaces.runtime import Runtime
from pipelines.workspaces.workspace import Purpose, Workspace
from stages.contract.disk import full_disk


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        params: Overlays over the project's params.yaml.
        dirty: Run the working tree as it is.
        ref: Branch, tag or commit to run instead of HEAD, fetched first.
        overrides: The last overlay.
        refetch: Fetch unpinned sources again; else what DVC has of them is used.
        promote: Whether the result is to be promoted.
        force: Run although nothing changed.
        purpose: What the workspace is for.
    """

    params: Sequence[Path] = ()
    dirty: bool = False
    ref: str | None = None
    overrides: Values | None = None
    refetch: bool = False
    promote: bool = False
    force: bool = False
    purpose: Purpose = "training"


@dataclass(frozen=True)
class Prepared:
    """A run that is needed and has not begun: made once, and handed to all that it takes.

    `runtime` waits until that is known; `inputs` is the hash by which `up_to_date` knows what it is
    of, if it is a training.
    """

    project: Project
    request: Request
    workspace: Workspace
    runtime: Callable[[], Runtime]
    dvc: Dvc
    inputs: str | None
    growing: Taken | None = None


@contextmanager
def prepare(project: Project, request: Request) -> Iterator[Prepared]:
    """Resolves the request to a workspace, which is deleted again unless a run begins in it.

    Raises:
        NothingToDo: if a finished run had the same inputs and `force` is false.
        PipelineError: if no workspace can be made, MLflow does not answer or the disk fails.
    """
    with disk_errors(project.folder):
        run_state.sweep(project.folder)
        cache.sweep(project.folder)
        made = workspace.create(
            project.folder,
            list(request.params),
            request.dirty,
            request.ref,
            request.overrides,
            purpose=request.purpose,
        )
    with run_state.reserved(made.path):
        needs = [Need.LOG, Need.PROMOTE] if request.promote else [Need.LOG]
        # Another commit or an override may name another model than the project's params.yaml.
        project = connection.of_model(project, made.params.run.model, *needs)
        if not project.away:
            unfinished.sweep(project.folder)
        if request.purpose == "training":
            serving_code.pyfunc(made.path)  # else the result could not be registered
            local_sources.require_unchanged(made.path, made.params.stages.download)
        with disk_errors(project.folder):
            taken = _take(project, made)
            inputs = up_to_date.inputs(made) if request.purpose == "training" else None
            if not (request.force or project.away):
                _require_change(project, made, inputs, request, taken)
        where = runtime.fix(made.path)
        if request.purpose == "training":
            lacking = partial(dvc_stages.not_cached, made.path)
            runtime.require_device(made.params, where, lacking)
        with Dvc(made.path) as dvc:
            yield Prepared(project, request, made, where, dvc, inputs, taken)


def _take(project: Project, made: Workspace) -> Taken | None:
    """Puts into the workspace what stands in the growing source now, for DVC to see."""
    params, inputs = made.params.stages, made.path / "inputs"
    if made.purpose != "training":
        growing.take_none(params, inputs)
        return None
    taken = growing.take(project.folder, params, inputs)
    if taken:
        growing.note(taken, made.path)
    return taken


def _require_change(
    project: Project, made: Workspace, inputs: str | None, request: Request, taken: Taken | None
) -> None:
    try:
        up_to_date.require_change(project, made, request.refetch, request.promote, inputs)
    except NothingToDo as nothing:
        if taken is None or not taken.left_out:
            raise
        raise NothingToDo("; ".join([str(nothing), *taken.left_out]), nothing.logged) from None


@contextmanager
def disk_errors(project: Path) -> Iterator[None]:
    """Turns an error of the disk into a PipelineError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:  # DVC keeps its notes in SQLite
        if full_disk(error, project):
            raise disk.full(project) from None
        raise PipelineError(
            f"The disk does not let the run continue ({error}): correct the permissions of that"
            " file, or repair the disk, and run again; finished stages are cached"
        ) from None
