"""The Prefect flow `msra-ner`: DVC's stages in order, then MLflow."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_UI_URL
from prefect.states import Cancelled, Completed, Failed

from pipelines import (
    cancel,
    disk,
    dvc,
    figures,
    remote,
    run_settings,
    sampling,
    state,
    tracking,
    workspace,
)
from pipelines.errors import PipelineError, RunCancelledError, StageFailed, StageTimeoutError
from pipelines.figures import Leaf
from pipelines.run_settings import Run
from pipelines.tracking import Logged
from pipelines.workspace import Workspace

RETRIES = {"download": 2}  # the one stage that a second try may help: it uses the network
RETRY_AFTER_S = 10.0
logging.getLogger("prefect.task_runs").addFilter(lambda record: _without_none(record))


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
    params: list[Path] | None = None, dirty: bool = False, project: Path = Path()
) -> Outcome | State[PipelineError]:
    """Trains, scores, exports, logs and registers the recogniser.

    Args:
        params: Overlays, YAML files merged in turn over the project's params.yaml.
        dirty: Run the working tree as it is, uncommitted changes and all, and record them.
        project: Folder of the project.
    """
    started = time.monotonic()
    log = get_run_logger()
    try:
        state.sweep(project)
        tracking.check(project)
        by = (flow_run.get_id(), _page())
        made = workspace.create(project, params or [], dirty, *by)
        log.info("Workspace %s", made.path)
        with state.running(made.path):
            run = run_settings.read_run(made.path / "params.yaml")
            disk.require(project, run.free_disk_gb)
            with cancel.watched() as cancelled, sampling.into(made.path):
                _run_stages(made.path, run, cancelled)
            state.mark(made.path, "running", state.STAGES_DONE)
            warning = remote.push(made.path)
            if warning:
                log.warning(warning)
            logged = _log(project, made)
        _link(project, logged)
    except RunCancelledError as error:
        return Cancelled(message=str(error), data=error)
    except PipelineError as error:
        # Returned, not raised: Prefect would put a traceback before what the user has to read.
        return Failed(message=str(error), data=error)
    leaves = figures.leaves(dvc.reports(made.path))
    return Outcome(made.path, leaves, logged, time.monotonic() - started, warning)


def _run_stages(path: Path, settings: Run, cancelled: threading.Event) -> None:
    """One at a time, as DVC is made for; each knows those that it reads from.

    Raises:
        PipelineError: by the first that fails, lasts too long or is cancelled.
    """
    states: dict[str, State] = {}
    for stage in dvc.stages(path):
        if cancelled.is_set():
            raise RunCancelledError(f"Cancelled before stage {stage.name}")
        run = task(
            name=stage.name,
            task_run_name=stage.name,
            retries=RETRIES.get(stage.name, 0),
            retry_delay_seconds=RETRY_AFTER_S,
            retry_condition_fn=lambda _task, _run, state: state.name == "Failed",
            cache_policy=NO_CACHE,  # DVC is the cache
            persist_result=False,
        )(_repro)
        upstream = [states[name] for name in stage.upstream]
        parameters = (path, stage.name, settings.timeout_s(stage.name), cancelled)
        states[stage.name] = run(*parameters, return_state=True, wait_for=upstream)
        states[stage.name].result()


def _repro(
    path: Path, stage: str, timeout_s: float | None, cancelled: threading.Event
) -> State[PipelineError | None]:
    log = get_run_logger()
    try:
        ran = dvc.repro(path, stage, log.info, timeout_s, cancelled)
    except StageFailed as error:
        return Failed(message=f"exit code {error.exit_code}", data=error)
    except StageTimeoutError as error:
        return Failed(name="TimedOut", message=str(error), data=error)
    except RunCancelledError as error:
        return Cancelled(message=str(error), data=error)
    # A state, not a value: Prefect takes equal values of two tasks for one, and draws wrong edges.
    return Completed() if ran else Completed(name="Cached", message="DVC had its outs already")


def _log(project: Path, made: Workspace) -> Logged:
    try:
        return tracking.log_run(project, made)
    except (MlflowException, OSError) as error:
        words = " ".join(str(error).split())
        raise PipelineError(
            f"All stages are done, but MLflow did not take the result ({words}): it is whole in"
            f" {made.path}, and `python -m pipelines log {made.run_id}` logs it when that is mended"
        ) from None


def _page() -> str | None:
    """The address of this flow run's page; None where its server has none."""
    return flow_run.get_flow_run_ui_url() if PREFECT_UI_URL.value() else None


def _link(project: Path, logged: Logged) -> None:
    """Shows in Prefect where MLflow has the result."""
    where = tracking.page(project, logged) or f"run {logged.run_id}"
    create_markdown_artifact(
        f"MLflow: {where}\n\nVersion {logged.version} of the model", key="mlflow-run"
    )


def _without_none(record: logging.LogRecord) -> bool:
    """Prefect asks for a traceback where a task returned its failure, which has none."""
    if record.exc_info and record.exc_info[0] is None:
        record.exc_info = None
    return True
