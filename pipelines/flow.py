"""The Prefect flow `msra-ner`: DVC's stages in order, then MLflow."""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from pipelines import dvc, figures, tracking, workspace
from pipelines.errors import PipelineError, StageFailed
from pipelines.figures import Leaf
from pipelines.tracking import Logged
from pipelines.workspace import Values, Workspace
from stages.params import UNPINNED, Download, read

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
    """

    workspace: Path
    figures: dict[str, Leaf]
    logged: Logged
    seconds: float


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
    try:
        return train(project, params or [], dirty)
    except PipelineError as error:
        # Returned, not raised: Prefect would put a traceback before what the user has to read.
        return Failed(message=str(error), data=error)


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
    tracking.check(project)
    made = workspace.create(project, params, dirty, ref, overrides)
    get_run_logger().info("Workspace %s, commit %s", made.path, made.commit)
    again = {"download"} if refetch and _is_unpinned(made.path) else set()
    run_stages(made.path, dvc.stages(made.path), again)
    logged = _log(project, made, flow_run.get_id())
    leaves = figures.leaves(dvc.reports(made.path))
    return Outcome(made.path, leaves, logged, time.monotonic() - started)


def run_stages(path: Path, stages: list[dvc.Stage], again: Collection[str] = ()) -> None:
    """One at a time, as DVC is made for; each knows those that it reads from.

    Those in `again` run although DVC has their outs.

    Raises:
        StageFailed: by the first that fails.
    """
    states: dict[str, State] = {}
    for stage in stages:
        run = task(
            name=stage.name,
            task_run_name=stage.name,
            retries=RETRIES.get(stage.name, 0),
            retry_delay_seconds=RETRY_AFTER_S,
            cache_policy=NO_CACHE,  # DVC is the cache
            persist_result=False,
        )(_repro)
        upstream = [states[name] for name in stage.upstream]
        states[stage.name] = run(
            path, stage.name, stage.name in again, return_state=True, wait_for=upstream
        )
        states[stage.name].result()


def _is_unpinned(path: Path) -> bool:
    params = read(Download, path / "params.yaml")
    return any(source.sha256 == UNPINNED for source in (params.train, params.test))


def _repro(path: Path, stage: str, force: bool) -> State[StageFailed | None]:
    log = get_run_logger()
    try:
        ran = dvc.repro(path, stage, log.info, force)
    except StageFailed as error:
        return Failed(message=f"exit code {error.exit_code}", data=error)
    # A state, not a value: Prefect takes equal values of two tasks for one, and draws wrong edges.
    return Completed() if ran else Completed(name="Cached", message="DVC had its outs already")


def _log(project: Path, made: Workspace, flow_run_id: str | None) -> Logged:
    try:
        return tracking.log_run(project, made, flow_run_id)
    except (MlflowException, OSError) as error:
        words = " ".join(str(error).split())
        raise PipelineError(
            f"All stages are done, but MLflow did not take the result ({words}): mend that and run"
            " again, which only logs it"
        ) from None


def _without_none(record: logging.LogRecord) -> bool:
    """Prefect asks for a traceback where a task returned its failure, which has none."""
    if record.exc_info and record.exc_info[0] is None:
        record.exc_info = None
    return True
