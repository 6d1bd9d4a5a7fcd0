"""The Prefect flow of `run`: DVC's stages in order, then MLflow."""

import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

# Imported here, before any flow runs: DVC imports it to read artifacts, and it reconfigures
# logging. During a flow run, Prefect's log handler would then block for 5 s.
import gto  # noqa: F401
import httpx
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_UI_URL, temporary_settings
from prefect.states import Cancelled, Completed, Failed

from pipelines.dvc_repo import cache, remote
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.dvc_repo.preloaded import Dvc
from pipelines.errors import MlflowAway, NothingToDo, PipelineError, RunCancelledError
from pipelines.flows import artifacts, up_to_date
from pipelines.flows.prepare import Prepared, Request, disk_errors, prepare
from pipelines.flows.stage_tasks import run_stages
from pipelines.names import OURS, Logged
from pipelines.tracking import connection, live, report_values, run_log
from pipelines.tracking.connection import Need, Project
from pipelines.tracking.live import Live
from pipelines.tracking.report_values import Leaf
from pipelines.workspaces import disk, merging, run_state, workspace
from pipelines.workspaces.merging import Values
from pipelines.workspaces.workspace import Workspace
from stages.contract.progress import BAR

# A flow's parameters are recorded as JSON, so what is prepared already does not go through them.
PREPARED: ContextVar[Prepared | None] = ContextVar("prepared", default=None)


@dataclass(frozen=True)
class Outcome:
    """The result of a flow run.

    Attributes:
        project: Its project, connected to MLflow.
        workspace: Where it ran.
        figures: Every single value of the JSON reports, as `test.PER.f1`.
        logged: The run in MLflow.
        seconds: The time it took.
        warning: What the user should fix although all is done; None if nothing.
    """

    project: Project
    workspace: Path
    figures: dict[str, Leaf]
    logged: Logged
    seconds: float
    warning: str | None = None


@flow(name=OURS, persist_result=False)
def msra_ner(
    params: list[Path] | None = None,
    dirty: bool = False,
    project: Path = Path(),
    force: bool = False,
) -> Outcome | State[PipelineError]:
    """Trains, scores, exports, logs and registers the recogniser.

    Args:
        params: Overlays, YAML files merged in turn over the project's params.yaml.
        dirty: Run the working tree as it is, with uncommitted changes, and record them.
        project: Folder of the project.
        force: Run although a finished run had the same source, code, parameters and image.
    """
    try:
        if prepared := PREPARED.get():
            return _trained(prepared)
        model = merging.model_name(project, params or [])
        warn = get_run_logger().warning
        connected = live.check(project, warn, Need.LOG, model=model)
        try:
            with prepare(connected, Request(params or [], dirty, force=force)) as prepared:
                return _trained(prepared)
        except NothingToDo as nothing:
            artifacts.nothing(str(nothing), connected, nothing.logged)
            raise
    except PipelineError as error:
        return ended(error)


def _trained(prepared: Prepared) -> Outcome:
    done = train(prepared)
    artifacts.trained(done.project, done.logged, done.figures, done.workspace, done.seconds)
    return done


def run_flow(folder: Path, request: Request, prepared: Prepared | None) -> State:
    """Runs the flow of `run`, on what is prepared if that is given; returns its final state."""
    token = PREPARED.set(prepared)
    name = prepared.workspace.run_id if prepared else None
    briefly = logging.getLogger("prefect.flow_runs")
    briefly.addFilter(_without_message)
    if sys.stderr.isatty():
        os.environ.setdefault(BAR, str(shutil.get_terminal_size().columns - 1))
    try:
        parameters = (list(request.params), request.dirty, folder, request.force)
        named = msra_ner.with_options(flow_run_name=name)
        # A server of this run needs no heartbeats, for whose end Prefect waits up to a second.
        silent = {} if PREFECT_UI_URL.value() else {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        with temporary_settings(silent):
            state: State = named(*parameters, return_state=True)
        return state
    finally:
        briefly.removeFilter(_without_message)
        PREPARED.reset(token)


def _without_message(record: logging.LogRecord) -> bool:
    """Shortens the line with which a failed flow run ends: the command line prints the message."""
    record.msg = re.sub(r"(?s)^(Finished in state Failed)\(.*", r"\1", str(record.msg))
    return True


def ended(error: PipelineError) -> State[PipelineError]:
    """The final state of a flow run that `error` ended.

    Returned, not raised: Prefect would print a traceback before the message.
    """
    if isinstance(error, NothingToDo):
        return Completed(name="NothingToDo", message=str(error), data=error)
    state = Cancelled if isinstance(error, RunCancelledError) else Failed
    return state(message=str(error), data=error)


def train(prepared: Prepared, stages_done: Callable[[], None] = lambda: None) -> Outcome:
    """What every flow that trains does: the stages in the workspace, then DVC's remote and MLflow.

    It calls `stages_done` before these, so that they hold no GPU.

    Raises:
        PipelineError: whatever went wrong, in a sentence.
    """
    started, log = time.monotonic(), get_run_logger()
    with live.following(prepared.project, log.warning) as opened, begun(prepared) as made:
        _tell(prepared)
        refetch = prepared.request.refetch and made.params.stages.download.unpinned
        again = {"download"} if refetch else set()
        if address := opened.open(made, prepared.inputs):
            log.info("MLflow run %s", address)
        stages = dvc_stages.stages(made.path)
        run_stages(made, stages, prepared.dvc, again, opened)
        run_state.mark(made.path, "running", run_state.STAGES_DONE)
        stages_done()
        warning = remote.push(made.path, made.params.run.timeout_s("push"))
        if warning:
            log.warning(warning)
        opened.stop()
        project, logged = _log(opened, made, warning is None, prepared.inputs)
    reports = (report for stage in stages for report in stage.reports)
    figures = report_values.leaves(dvc_stages.existing(made.path, reports))
    seconds = time.monotonic() - started
    return Outcome(project, made.path, figures, logged, seconds, warning)


def _tell(prepared: Prepared) -> None:
    if prepared.growing:
        get_run_logger().info(prepared.growing.summary)
        for sentence in prepared.growing.left_out:
            get_run_logger().warning(sentence)


@contextmanager
def begun(prepared: Prepared) -> Iterator[Workspace]:
    """The workspace, marked while this is entered as running and then with how the run ended.

    Raises:
        PipelineError: before anything runs, if the disk is too full; later, if the disk fails.
    """
    folder, made = prepared.project.folder, prepared.workspace
    with disk_errors(folder), run_state.begun(made.path):
        made = workspace.belonging_to(made, flow_run.get_id(), _page())
        _label_flow_run(made.run_id, prepared.project.model)
        get_run_logger().info("Workspace %s, commit %s", made.path, made.commit)
        get_run_logger().info("Stages run %s", prepared.runtime())
        disk.require(folder, made.params.run.free_disk_gb)
        if warning := remote.pull(made.path, made.params.run.timeout_s("pull")):
            get_run_logger().warning(warning)
        cache.require_within(folder)
        yield made


@contextmanager
def in_workspace(
    folder: Path, ref: str, overrides: Values
) -> Iterator[tuple[Project, Workspace, Dvc]]:
    """A new workspace of the project in `folder`, for an evaluation, which logs no run of its own.

    The project is that of the model which the workspace's params.yaml names.

    Raises:
        PipelineError: as `prepare` and `begun`.
    """
    project = connection.check(folder, Need.LOG)
    request = Request(ref=ref, overrides=overrides, force=True, purpose="evaluation")
    with (
        prepare(project, request) as prepared,
        begun(prepared) as made,
    ):
        yield prepared.project, made, prepared.dvc


def _log(opened: Live, made: Workspace, pushed: bool, inputs: str | None) -> tuple[Project, Logged]:
    project = opened.project
    try:
        if project.away:
            project = connection.check(project.folder, Need.LOG, model=project.model)
        logged = run_log.log_run(project, made, opened.files)
    except (MlflowAway, *connection.FAILURES) as error:
        raise PipelineError(
            "All stages are done, but MLflow did not take the result"
            f" ({connection.said(error)}): it is complete in {made.path}; fix MLflow, then log it"
            f" with `python -m pipelines log {made.run_id}`"
        ) from None
    try:
        up_to_date.remember(project, made, logged, pushed, inputs)
    except connection.FAILURES as error:  # all is logged: at worst the same run is made again
        get_run_logger().warning("MLflow did not note what the run was of (%s)", error)
    return project, logged


def _label_flow_run(name: str, model: str) -> None:
    """Gives the flow run its workspace's name, by which MLflow knows it, and its model's tag."""
    if run_id := flow_run.get_id():
        tags = sorted({*flow_run.get_tags(), model})
        with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(UUID(run_id), name=name, tags=tags)


def _page() -> str | None:
    """The address of this flow run's page; None where its server has no pages."""
    return flow_run.get_flow_run_ui_url() if PREFECT_UI_URL.value() else None
