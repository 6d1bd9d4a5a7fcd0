"""The deployed flows that train: `retrain` and `train-on-demand`.

They run in the folder where the worker was started, the project's; the code that they run is that
of `ref`. No parameter has a default here: prefect.yaml holds every number, and Prefect's form shows
them.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas import State
from prefect.states import Completed, Failed
from pydantic import Field

from pipelines.errors import NothingToDo, PipelineError, Refused
from pipelines.flows import artifacts, gpu_slot, worker_output
from pipelines.flows.prepare import Request, prepare
from pipelines.flows.train import Outcome, ended, train
from pipelines.promotion import promote as promotion
from pipelines.tracking import connection, live
from pipelines.tracking.connection import Need, Project
from pipelines.workspaces import overlays

# Prefect's form takes constraints from the type and descriptions from the docstring.
Ref = Annotated[str, Field(pattern=r"^[^\s-]\S*$", examples=["main"])]
Overrides = Annotated[
    dict[str, dict[str, Any]], Field(examples=[{"train": {"epochs": 5, "learning_rate": 0.0001}}])
]
WaitMinutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]


@flow(name="retrain", persist_result=False)
def retrain(
    ref: Ref, promote: bool, wait_minutes: WaitMinutes, force: bool
) -> Outcome | State[Any]:
    """Trains the head of a branch, with changing sources as they are now, on a schedule.

    Args:
        ref: Branch, tag or commit to run; fetched at the start where there is a remote.
        promote: Whether the new version becomes the champion if it passes the gates.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
        force: Run although a finished run had the same source, code, parameters and image.
    """
    request = Request(ref=ref, promote=promote, force=force, refetch=True)
    return _run(request, wait_minutes)


@flow(name="train-on-demand", persist_result=False)
def train_on_demand(
    ref: Ref, overrides: Overrides, promote: bool, wait_minutes: WaitMinutes, force: bool
) -> Outcome | State[Any]:
    """Trains any commit, with other parameters if wanted.

    Args:
        ref: Branch, tag or commit to run; fetched at the start where there is a remote.
        overrides: Merged over params.yaml as the last overlay, checked before anything runs, such
            as {"train": {"epochs": 5, "learning_rate": 0.0001}}.
        promote: Whether the new version becomes the champion if it passes the gates.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
        force: Run although a finished run had the same source, code, parameters and image.
    """
    request = Request(ref=ref, overrides=overrides, promote=promote, force=force)
    return _run(request, wait_minutes)


def _run(request: Request, wait_minutes: float) -> Outcome | State[Any]:
    worker_output.detach()
    needs = [Need.LOG, Need.PROMOTE] if request.promote else [Need.LOG]
    try:
        project = live.check(Path.cwd(), get_run_logger().warning, *needs)
        try:
            with prepare(project, request) as prepared, ExitStack() as slot:
                slot.enter_context(gpu_slot.gpu(wait_minutes))
                outcome = train(prepared, stages_done=slot.close)
        except NothingToDo as nothing:
            project = connection.of_model(project, nothing.logged.model)
            artifacts.nothing(str(nothing), project, nothing.logged)
            return ended(nothing)
        project = outcome.project
        # Outside the slot: the gates need no GPU for long, and time the CPU.
        state = _promote(outcome, project) if request.promote else None
    except PipelineError as error:
        artifacts.failed(Path.cwd(), str(error))
        return ended(error)
    artifacts.trained(
        project,
        outcome.logged,
        outcome.figures,
        outcome.workspace,
        outcome.seconds,
        state.message if state else None,
    )
    return state or outcome


def _promote(outcome: Outcome, project: Project) -> State[Any]:
    """Promotes by the gates of the commit that was run.

    A refusal fails the flow run, whose version stays a challenger: green would say that it serves.
    """
    gates = overlays.sections(outcome.workspace).promote
    try:
        done = promotion.promote(project.registry, project.folder, gates, outcome.logged.version)
    except Refused as refused:
        return Failed(name="NotPromoted", message=str(refused), data=refused)
    message = f"{project.model} version {outcome.logged.version} is the champion"
    message += f"\nComparison: {done.comparison}"
    return Completed(name="Promoted", message=message, data=outcome)
