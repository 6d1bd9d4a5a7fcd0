"""Sets up that a shift, which `watch` finds, starts `retrain`."""

from prefect.client.orchestration import get_client
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from pipelines.errors import PipelineError
from pipelines.flows import automations
from pipelines.names import OURS, SHIFTED

NAME = f"{OURS}: retrain on a shift"


def setup(wanted: bool) -> str:
    """Creates the automation, or deletes it; running it again changes only what differs.

    Returns:
        A line for the user.

    Raises:
        PipelineError: if it is wanted and `retrain` is not deployed.
    """
    with get_client(sync_client=True) as client:
        if not wanted:
            found = client.read_automations_by_name(NAME)
            for automation in found:
                client.delete_automation(automation.id)
            return f"Automation '{NAME}': {'deleted' if found else 'there is none'}"
        try:
            deployment = client.read_deployment_by_name("retrain/retrain")
        except ObjectNotFound:
            raise PipelineError(
                "retrain is not deployed, so nothing could start it: `make deploy` first"
            ) from None
        starting = AutomationCore(
            name=NAME,
            description="Starts retrain when watch finds that the text that is served shifted",
            trigger=EventTrigger(expect={SHIFTED}, posture=Posture.Reactive, threshold=1),
            actions=[
                RunDeployment(
                    source="selected",
                    deployment_id=deployment.id,
                    parameters=None,
                    job_variables=None,
                )
            ],
        )
        return f"Automation '{NAME}': {automations.ensure(client, starting)}"
