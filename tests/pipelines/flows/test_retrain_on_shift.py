"""A shift starts `retrain` on a real Prefect server, if that is wished."""

import pytest

from pipelines.errors import PipelineError
from pipelines.names import SHIFTED
from tests.pipelines.flows.deployed import until


def test_a_shift_starts_retrain_if_that_is_wished(prefect_url: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.events import Event
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.flows.nightly import retrain_on_shift

    about = f"Automation '{retrain_on_shift.NAME}': "
    event = Event(event=SHIFTED, resource={"prefect.resource.id": "msra-ner.model.dishes"})
    with temporary_settings({PREFECT_API_URL: prefect_url}), get_client(sync_client=True) as client:
        with pytest.raises(PipelineError, match=r"^retrain is not deployed"):
            retrain_on_shift.setup(True)
        flow = client.create_flow_from_name("retrain")
        deployment = client.create_deployment(flow, "retrain")
        try:
            assert retrain_on_shift.setup(True) == f"{about}created"
            assert retrain_on_shift.setup(True) == f"{about}unchanged"
            client.request("POST", "/events", json=[event.model_dump(mode="json")])
            # The server is other tests' too.
            until(
                client.read_flow_runs, lambda runs: any(r.deployment_id == deployment for r in runs)
            )
        finally:
            assert retrain_on_shift.setup(False) == f"{about}deleted"
            client.delete_flow(flow)
        assert retrain_on_shift.setup(False) == f"{about}there is none"
