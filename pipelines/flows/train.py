"""The Prefect flow `msra-ner`: DVC's stages in order, then MLflow."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_UI_URL
from prefect.states import Cancelled, Completed, Failed

from pipelines import settings
from pipelines.dvc_repo import cache, remote
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import NothingToDo, PipelineError, RunCancelledError
from pipelines.flows import up_to_date
from pipelines.flows.stage_tasks import run_stages
from pipelines.names import Logged
from pipelines.tracking import connection, report_values, run_log
from pipelines.tracking.connection import Need
from pipelines.tracking.report_values import Leaf
from pipelines.workspaces import disk, run_state, workspace
from pipelines.workspaces.overlays import Values
from pipelines.workspaces.workspace import Workspace
from stages.contract.section import read
from stages.params.download import Download


@dataclass(frozen=True)
class Outcome:
    """What a flow run came to.

    Attributes:
        workspace: Where it ran.
        figures: Every single value of the JSON reports, as `test.PER.f1`.
        logged: Where MLflow has it.
        seconds: It took.
        warning: What the user should see to although all is done; None if nothing.
    """

    workspace: Path
    figures: dict[str, Leaf]
    logged: Logged
    seconds: float
    warning: str | None = None


@flow(name="msra-ner", persist_result=False)
def msra_ner(
    params: list[Path] | None = None,
    dirty: bool = False,
    project: Path = Path(),
    force: bool = False,
) -> Outcome | State[PipelineError]:
    """Trains, scores, exports, logs and registers the recogniser.

    Args:
        params: Overlays, YAML files merged in turn over the project's params.yaml.
        dirty: Run the working tree as it is, uncommitted changes and all, and record them.
        project: Folder of the project.
        force: Run although a finished run had the same source, code, parameters and image.
    """
    try:
        if not force:
            up_to_date.require_change(project, params or [], dirty)
        return train(project, params or [], dirty)
    except NothingToDo as nothing:
        _link(project, nothing.logged)
        return ended(nothing)
    except PipelineError as error:
        return ended(error)


def ended(error: PipelineError) -> State[PipelineError]:
    """The state of a flow run that `error` ended.

    Returned, not raised: Prefect would put a traceback before what the user has to read.
    """
    if isinstance(error, NothingToDo):
        return Completed(name="NothingToDo", message=str(error), data=error)
    made = Cancelled if isinstance(error, RunCancelledError) else Failed
    return made(message=str(error), data=error)


def train(
    project: Path,
    params: list[Path],
    dirty: bool = False,
    ref: str | None = None,
    overrides: Values | None = None,
    refetch: bool = False,
) -> Outcome:
    """What every flow that trains does: the stages in a workspace of their own, then MLflow.

    Args:
        project: Folder of the project.
        params: Overlays over its params.yaml.
        dirty: Run the working tree as it is.
        ref: Branch, tag or commit to run instead of HEAD, fetched first.
        overrides: The last overlay.
        refetch: Ask the sources again that are unpinned; else what DVC has of them is good enough.

    Raises:
        PipelineError: whatever went wrong, in a sentence.
    """
    started = time.monotonic()
    with in_workspace(project, params, dirty, ref, overrides) as made:
        asked = refetch and read(Download, made.path / "params.yaml").unpinned
        again = {"download"} if asked else set()
        run_stages(made.path, dvc_stages.stages(made.path), again)
        run_state.mark(made.path, "running", run_state.STAGES_DONE)
        warning = remote.push(made.path)
        if warning:
            get_run_logger().warning(warning)
        logged = _log(project, made, pushed=warning is None)
    _link(project, logged)
    leaves = report_values.leaves(dvc_stages.reports(made.path))
    return Outcome(made.path, leaves, logged, time.monotonic() - started, warning)


@contextmanager
def in_workspace(
    project: Path,
    params: list[Path],
    dirty: bool = False,
    ref: str | None = None,
    overrides: Values | None = None,
) -> Iterator[Workspace]:
    """A new workspace, marked while this is entered as running and then as what became of it.

    Raises:
        PipelineError: before anything runs, if MLflow does not answer or the disk is too full;
            later, if the disk fails.
    """
    try:
        run_state.sweep(project)
        cache.sweep(project)
        connection.check(project, Need.LOG)
        made = workspace.create(project, params, dirty, ref, overrides, flow_run.get_id(), _page())
        get_run_logger().info("Workspace %s, commit %s", made.path, made.commit)
        with run_state.running(made.path):
            disk.require(project, settings.read_run(made.path / "params.yaml").free_disk_gb)
            cache.require_within(project)
            yield made
    except (OSError, sqlite3.Error) as error:  # DVC keeps its notes in SQLite
        raise PipelineError(
            f"The disk does not let the run go on ({error}): mend that, or make room"
            " (`python -m pipelines gc`), and run again; what is done is cached"
        ) from None


def _log(project: Path, made: Workspace, pushed: bool) -> Logged:
    try:
        logged = run_log.log_run(project, made)
        up_to_date.remember(project, made.path, logged, pushed)
        return logged
    except connection.FAILURES as error:
        raise PipelineError(
            "All stages are done, but MLflow did not take the result"
            f" ({connection.said(error)}): it is whole in"
            f" {made.path}, and `python -m pipelines log {made.run_id}` logs it when that is mended"
        ) from None


def _page() -> str | None:
    """The address of this flow run's page; None where its server has none."""
    return flow_run.get_flow_run_ui_url() if PREFECT_UI_URL.value() else None


def _link(project: Path, logged: Logged) -> None:
    """Shows in Prefect where MLflow has the result, and its report."""
    lines = [f"MLflow: {run_log.page(project, logged) or f'run {logged.run_id}'}"]
    if report := run_log.report(project, logged):
        lines.append(f"Report: {report}")
    lines.append(f"Version {logged.version} of the model")
    try:
        create_markdown_artifact("\n\n".join(lines), key="mlflow-run")
    except httpx.HTTPError as error:  # all is done: what only tells of it may not undo that
        get_run_logger().warning("Prefect's server did not take the link to MLflow (%s)", error)
