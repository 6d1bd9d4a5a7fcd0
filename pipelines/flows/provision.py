"""Creates or updates what the deployments need on a Prefect server.

Prefect's own commands cannot be repeated (3.9.1): a second `prefect automation create --from-file`
creates a second automation of that name, `prefect gcl create` or `prefect work-pool create` then
fails, and `prefect work-pool create --overwrite` discards the settings of the user.
"""

from datetime import timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from pipelines.errors import PipelineError
from pipelines.flows import automations
from pipelines.flows.gpu_slot import POOL, SLOT
from pipelines.flows.local_server import QUIET
from pipelines.names import OURS

AUTOMATION = f"{OURS}: crash zombie runs"
HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
HEARTBEAT_S = 60
MINIMUM_HEARTBEAT_S = 30  # Prefect's own
TAG = OURS  # of every deployment in prefect.yaml; a run has its model's too
MISSED = 3  # a run counts as dead after so many missed heartbeats
# The names of all final states: a run with another one would be marked as crashed.
ENDS = (
    *("Completed", "Promoted", "NotPromoted", "NothingToDo"),
    *("Failed", "TimedOut", "Cancelled", "Crashed"),
)


def setup(heartbeat_s: int | None = None) -> list[str]:
    """Creates the work pool, the GPU slot and the automation that crashes runs of dead workers.

    Running it again changes only what differs, and nothing that an operator set: the limit of the
    slot, settings of the pool, whether the automation is enabled.

    Args:
        heartbeat_s: Seconds between the heartbeats of a run, at least 30; None keeps those of the
            pool, or means 60 where there is none.

    Returns:
        One line for each, for the user.

    Raises:
        PipelineError: if `heartbeat_s` is too small.
    """
    if heartbeat_s is not None and heartbeat_s < MINIMUM_HEARTBEAT_S:
        raise PipelineError(
            f"--heartbeat-s is {heartbeat_s}: give {MINIMUM_HEARTBEAT_S} or more, Prefect sends no"
            " heartbeats more often"
        )
    with get_client(sync_client=True) as client:
        kind, pool, heartbeat_s = _pool(client, heartbeat_s)
        limit = _slot(client)
        automation = _automation(client, heartbeat_s)
    return [
        f"Work pool {POOL} (type {kind}, a heartbeat every {heartbeat_s} s): {pool}",
        f"Global concurrency limit {SLOT}: {limit}",
        f"Automation '{AUTOMATION}' (after {MISSED * heartbeat_s} s of silence): {automation}",
    ]


def _pool(client: SyncPrefectClient, heartbeat_s: int | None) -> tuple[str, str, int]:
    """Returns the type of the pool, which its creator chose, what was done, and its heartbeat."""
    try:
        found = client.read_work_pool(POOL)
    except ObjectNotFound:
        heartbeat_s = heartbeat_s or HEARTBEAT_S
        env = {**QUIET, HEARTBEAT: str(heartbeat_s)}
        template = ProcessWorker.get_default_base_job_template()
        _default(template, "env", env)
        _default(
            template, "working_dir", "."
        )  # the folder where the worker was started: the project
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)
        )
        return ProcessWorker.type, "created", heartbeat_s
    template = found.base_job_template
    theirs = template["variables"]["properties"]["env"].get("default") or {}
    heartbeat_s = heartbeat_s or int(theirs.get(HEARTBEAT, HEARTBEAT_S))
    wanted = {**QUIET, **theirs, HEARTBEAT: str(heartbeat_s)}
    if wanted == theirs:
        return found.type, "unchanged", heartbeat_s
    _default(template, "env", wanted)
    client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
    return found.type, "updated", heartbeat_s


def _slot(client: SyncPrefectClient) -> int:
    """Creates the GPU slot, of which there is one unless an operator said otherwise."""
    try:
        return int(client.read_global_concurrency_limit_by_name(SLOT).limit)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=SLOT, limit=1))
        return 1


def _default(template: dict[str, Any], variable: str, value: object) -> None:
    template["variables"]["properties"][variable]["default"] = value


def _automation(client: SyncPrefectClient, heartbeat_s: int) -> str:
    wanted = AutomationCore(
        name=AUTOMATION,
        description="Marks the run of a dead worker as crashed, so that the next run can start",
        # From docs.prefect.io/v3/advanced/detect-zombie-flows, but only for runs of this project:
        # those of another project may send heartbeats less often.
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={f"prefect.flow-run.{name}" for name in ("heartbeat", *ENDS)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=MISSED * heartbeat_s),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name=None,
                force=False,
                message=f"No heartbeat for {MISSED * heartbeat_s} s: the worker or its host died",
            )
        ],
    )
    return automations.ensure(client, wanted)
