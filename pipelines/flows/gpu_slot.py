"""The one GPU slot that all deployments share, whichever worker runs them."""

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

SLOT = "msra-ner-gpu"
POOL = "msra-ner"
LEASE_S = 120.0  # after a host's death the slot is free again within this


@contextmanager
def gpu(wait_minutes: float) -> Iterator[None]:
    """Holds the GPU slot; Prefect renews the lease in a thread of its own.

    Raises:
        PipelineError: if it was not free within `wait_minutes`, or there is no such slot.
    """
    log, run_id = get_run_logger(), flow_run.get_id()
    holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(run_id)) if run_id else None
    log.info("Waiting for the GPU slot, %g minutes at most", wait_minutes)
    with ExitStack() as stack:
        slot = concurrency(
            SLOT,
            timeout_seconds=wait_minutes * 60,
            lease_duration=LEASE_S,
            strict=True,
            holder=holder,
            # A server that is restarted must not cost hours of training.
            raise_on_lease_renewal_failure=False,
        )
        try:
            stack.enter_context(slot)
        except TimeoutError:
            raise PipelineError(
                f"The GPU slot was not free within {wait_minutes:g} minutes; running:"
                f" {', '.join(_others(run_id)) or 'nothing that Prefect knows of'}. Start this run"
                " again later, or with a larger wait_minutes"
            ) from None
        except ConcurrencySlotAcquisitionError as error:
            raise PipelineError(
                f"Prefect has no slot {SLOT} to give ({error}): run `python -m pipelines setup`"
            ) from None
        log.info("Got the GPU slot")
        yield


def _others(run_id: str | None) -> list[str]:
    """The names of the other runs of the work pool that are running."""
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=running),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        )
    return sorted(run.name for run in found if str(run.id) != run_id)
