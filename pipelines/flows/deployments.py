"""The flows that prefect.yaml deploys and that train: `retrain` and `train-on-demand`.

They run in the folder where the worker was started, the project's; what they run is `ref`'s. No
parameter has a default here: prefect.yaml holds every number, and Prefect's form shows them.
"""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas import State
from prefect.states import Completed
from pydantic import Field

from pipelines.errors import NothingToDo, PipelineError, Refused
from pipelines.flows import artifacts, gpu_slot, up_to_date
from pipelines.flows.train import Outcome, ended, train
from pipelines.names import MODEL
from pipelines.promotion import promote as promotion
from pipelines.tracking import connection
from pipelines.tracking.connection import Need
from pipelines.workspaces import overlays

# Constraints stand in the type, words in the docstring: Prefect's form takes each from there.
Ref = Annotated[str, Field(pattern=r"^[^\s-]\S*$", examples=["main"])]
Overrides = Annotated[
    dict[str, dict[str, Any]], Field(examples=[{"train": {"learning_rate": 0.0001}}])
]
WaitMinutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]


@flow(name="retrain", persist_result=False)
def retrain(
    ref: Ref, promote: bool, wait_minutes: WaitMinutes, force: bool
) -> Outcome | State[Any]:
    """Trains what stands at a branch, with unpinned sources as they are now, on a schedule.

    Args:
        ref: Branch, tag or commit to run; fetched at the start where there is a remote.
        promote: Whether the new version becomes the champion if it passes the gates.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
        force: Run although a finished run had the same source, code, parameters and image.
    """
    return _run(ref, {}, promote, wait_minutes, force, refetch=True)


@flow(name="train-on-demand", persist_result=False)
def train_on_demand(
    ref: Ref, overrides: Overrides, promote: bool, wait_minutes: WaitMinutes, force: bool
) -> Outcome | State[Any]:
    """Trains any commit, with other parameters if wanted.

    Args:
        ref: Branch, tag or commit to run; fetched at the start where there is a remote.
        overrides: Merged over params.yaml as the last overlay, checked before anything runs.
        promote: Whether the new version becomes the champion if it passes the gates.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
        force: Run although a finished run had the same source, code, parameters and image.
    """
    return _run(ref, overrides, promote, wait_minutes, force)


def _run(
    ref: str,
    overrides: dict[str, Any],
    promote: bool,
    wait_minutes: float,
    force: bool,
    refetch: bool = False,
) -> Outcome | State[Any]:
    project = Path.cwd()
    try:
        if promote:
            connection.check(project, Need.PROMOTE)
        if not force:
            up_to_date.require_change(
                project, [], ref=ref, overrides=overrides, refetch=refetch, promote=promote
            )
        with gpu_slot.gpu(wait_minutes):
            outcome = train(project, [], ref=ref, overrides=overrides, refetch=refetch)
        # Outside the slot: the gates need no GPU for long, and time the CPU.
        state = _promote(outcome, project) if promote else None
    except NothingToDo as nothing:
        artifacts.nothing(str(nothing), project, nothing.logged)
        return ended(nothing)
    except PipelineError as error:
        artifacts.failed(str(error))
        return ended(error)
    artifacts.trained(outcome, project, state.message if state else None)
    return state or outcome


def _promote(outcome: Outcome, project: Path) -> State[Outcome]:
    """Through the gates of the commit that was run; a refusal is no failure of the run."""
    gates = overlays.sections(outcome.workspace).promote
    try:
        done = promotion.promote(
            connection.connect(project), project, gates, outcome.logged.version
        )
    except Refused as refused:
        return Completed(name="NotPromoted", message=str(refused), data=outcome)
    said = f"{MODEL} version {outcome.logged.version} is the champion"
    said += f"\nComparison: {done.comparison}"
    return Completed(name="Promoted", message=said, data=outcome)
