"""The one GPU slot that all deployments and models share, in every work pool.

It is a global concurrency limit, not the limit of a work queue or work pool. A pool with limit 1
was tried (Prefect 3.9.1): a waiting run then shows as `Late`, and a second `retrain` is cancelled
as with the slot. But the pool limits whole flow runs: one that has nothing to do would wait for
hours to say so, the gates of a promotion would delay the next run, no run would fail after
`wait_minutes`, and pools of other hosts would not share the limit.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import ConcurrencyLeaseHolder, StateType
from prefect.concurrency._asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run

from pipelines.errors import PipelineError
from pipelines.names import OURS

# No model's: two models of one checkout have one GPU, on which a slot each would start two jobs.
SLOT = f"{OURS}-gpu"
POOL = OURS
LEASE_S = 120.0  # the slot is free again this long after a host died


@contextmanager
def gpu(wait_minutes: float) -> Iterator[None]:
    """Takes the GPU slot; Prefect renews its lease in a thread.

    Raises:
        PipelineError: if the slot was not free within `wait_minutes`, or does not exist.
    """
    log, run_id = get_run_logger(), flow_run.get_id()
    holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(run_id)) if run_id else None
    log.info("Waiting for the GPU slot, at most %g minutes", wait_minutes)
    with ExitStack() as stack:
        slot = concurrency(
            SLOT,
            timeout_seconds=wait_minutes * 60,
            lease_duration=LEASE_S,
            strict=True,
            holder=holder,
            # Restarting the server must not cost hours of training.
            raise_on_lease_renewal_failure=False,
        )
        try:
            stack.enter_context(slot)
        except TimeoutError:
            raise PipelineError(
                f"The GPU slot was not free within {wait_minutes:g} minutes. Running:"
                f" {', '.join(_others(run_id)) or 'no run known to Prefect'}. Start this run again"
                " later, or with a larger wait_minutes"
            ) from None
        except ConcurrencySlotAcquisitionError as error:
            raise PipelineError(
                f"Prefect has no slot {SLOT} ({error}): run `python -m pipelines setup`"
            ) from None
        log.info("Got the GPU slot")
        yield


def _others(run_id: str | None) -> list[str]:
    """The names of the other running flow runs of the work pool."""
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=running),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        )
    return sorted(run.name for run in found if str(run.id) != run_id)
