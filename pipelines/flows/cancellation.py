"""Watches whether the flow run was cancelled in Prefect's UI or through its API.

A worker ends the process of a cancelled run; nothing does so for a run that was started by hand.
"""

import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run

POLL_S = 3.0
STOPPED = {StateType.CANCELLING, StateType.CANCELLED}


@contextmanager
def watched() -> Iterator[threading.Event]:
    """Yields an event that is set within seconds after this flow run is cancelled."""
    cancelled, over = threading.Event(), threading.Event()

    def poll(flow_run_id: UUID) -> None:
        with get_client(sync_client=True) as client:
            while not over.wait(POLL_S):
                try:
                    state = client.read_flow_run(flow_run_id).state
                except Exception as error:  # a server that is away for a while must not end a run
                    logging.getLogger(__name__).debug("Cannot tell if cancelled: %s", error)
                    continue
                if state and state.type in STOPPED:
                    cancelled.set()
                    return

    # Prefect's settings belong to the context in which they were made.
    arguments = (poll, UUID(flow_run.get_id()))
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=arguments, daemon=True, name="cancel"
    )
    thread.start()
    try:
        yield cancelled
    finally:
        over.set()
        thread.join()
