"""Whether someone cancelled the flow run in Prefect's UI or by its API.

A worker ends the process of a cancelled run; nobody does for one that was started by hand.
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
ASKED = {StateType.CANCELLING, StateType.CANCELLED}


@contextmanager
def watched() -> Iterator[threading.Event]:
    """Yields an event that is set within seconds of the cancelling of this flow run."""
    cancelled, over = threading.Event(), threading.Event()

    def poll(flow_run_id: UUID) -> None:
        with get_client(sync_client=True) as client:
            while not over.wait(POLL_S):
                try:
                    state = client.read_flow_run(flow_run_id).state
                except Exception as error:  # a server that is away for a while ends no run
                    logging.getLogger(__name__).debug("Not known if cancelled: %s", error)
                    continue
                if state and state.type in ASKED:
                    cancelled.set()
                    return

    # Prefect's settings are of the context that they were made in.
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
