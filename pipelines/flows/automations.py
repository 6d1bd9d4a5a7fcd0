"""Creates or updates an automation by its name."""

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore


def ensure(client: SyncPrefectClient, wanted: AutomationCore) -> str:
    """Makes the server have it once; whether it is enabled stays. Returns what was done."""
    found = client.read_automations_by_name(wanted.name)
    for duplicate in found[1:]:
        client.delete_automation(duplicate.id)
    if not found:
        client.create_automation(wanted)
        return "created"
    compared = {"trigger", "actions"}
    theirs = found[0].model_dump(include=compared, exclude={"trigger": {"id"}})
    if theirs == wanted.model_dump(include=compared, exclude={"trigger": {"id"}}):
        return "unchanged"
    wanted.enabled = found[0].enabled
    client.update_automation(found[0].id, wanted)
    return "updated"
