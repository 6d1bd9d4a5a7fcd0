"""Sets up notifications on a Prefect server: a block with the address, and two automations."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from apprise import Apprise
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from pipelines.errors import PipelineError
from pipelines.flows import automations
from pipelines.flows.provision import TAG
from pipelines.names import OURS
from pipelines.workspaces import places

OFF = "off"
VARIABLE = "env:"  # before the name of a variable that has the address
BLOCK = f"{OURS}-notify"
RUNS, EVENTS = f"{OURS}: notify of runs", f"{OURS}: notify of events"
# What a person should hear of; the other ends of a run are as expected.
STATES = ("Failed", "TimedOut", "Crashed", "Promoted", "NotPromoted")
SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
KINDS = (CustomWebhookNotificationBlock, SlackWebhook)


def setup(where: str) -> list[str]:
    """Creates block and automations, or deletes them; running it again changes only what differs.

    Args:
        where: A file that holds the address, `env:NAME` (a variable that holds it), or `off`.

    Returns:
        One line for each, for the user; none has the address, which may be a secret.

    Raises:
        PipelineError: there is no address, or it is none that can be notified.
    """
    if where == OFF:
        with get_client(sync_client=True) as client:
            return _delete(client)
    kind, block = _block_for(_address(where))
    with get_client(sync_client=True) as client:
        block_id, done = _save(client, block)
        lines = [f"Block {BLOCK} (notifies by {kind}): {done}"]
        for automation in (_of_runs(block_id), _of_events(block_id)):
            done = automations.ensure(client, automation)
            lines.append(f"Automation '{automation.name}': {done}")
    return lines


def _address(where: str) -> str:
    """The address, of which no message has a part."""
    if "://" in where:
        raise PipelineError(
            "--notify takes no address, as `ps` and the shell's history would show it: write it to"
            " a file and name that, or name a variable that has it, as env:NAME"
        )
    if where.startswith(VARIABLE):
        name = where.removeprefix(VARIABLE)
        found, what = os.environ.get(name, ""), f"the environment variable {name}"
    else:
        try:
            found, what = places.given(Path(where)).read_text(encoding="utf-8"), where
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise PipelineError(
                f"--notify {where}: {why}; name a file with the address, env:NAME or {OFF}"
            ) from None
    if len(found.split()) != 1 or "://" not in found:
        raise PipelineError(
            f"--notify: {what} has no address; write one line there, such as https://HOST/PATH of a"
            " webhook, or mailtos://USER:PASSWORD@HOST?to=ADDRESS"  # pragma: allowlist secret
        )
    return found.strip()


def _block_for(address: str) -> tuple[str, NotificationBlock]:
    """The kind of block for an address, and the block."""
    parts = urlsplit(address)
    secret = SecretStr(address)
    if parts.hostname in SLACK:
        return "Slack", SlackWebhook(url=secret)
    if parts.scheme in ("http", "https"):
        # `url` is shown by Prefect's UI and API, `secrets` is not.
        json_data = {key: f"{{{{{key}}}}}" for key in ("subject", "body")}
        json_data["text"] = "{{subject}}\n{{body}}"  # what chat servers show
        block = CustomWebhookNotificationBlock(
            name=OURS,
            url="{{url}}",
            secrets=SecretDict({"url": address}),
            json_data=json_data,
            headers=None,
            cookies=None,
        )
        return "webhook", block
    if Apprise.instantiate(address) is None:
        raise PipelineError(
            "--notify: Apprise, by which Prefect sends, cannot read this address; see"
            " https://github.com/caronc/apprise/wiki for those it knows"
        )
    # Prefect 3.9 has no block for any address of Apprise, such as one of a mail server, but its
    # Slack block hands those on to Apprise as they are.
    return f"{parts.scheme}://", SlackWebhook(url=secret)


def _save(client: SyncPrefectClient, block: NotificationBlock) -> tuple[UUID, str]:
    """Saves the block in place of an earlier one; returns its id and what was done."""
    before = _documents(client)
    known = before.pop(block.get_block_type_slug(), None)
    wanted = block.model_dump(context={"include_secrets": True})
    if known and known.data.items() <= wanted.items():
        return known.id, "unchanged"
    saved = UUID(str(block.save(BLOCK, overwrite=True)))
    for other in before.values():
        client.delete_block_document(other.id)
    return saved, "updated" if known or before else "created"


def _documents(client: SyncPrefectClient) -> dict[str, BlockDocument]:
    """The blocks of our name by their kind."""
    found = {}
    for slug in (kind.get_block_type_slug() for kind in KINDS):
        with suppress(ObjectNotFound):
            found[slug] = client.read_block_document_by_name(BLOCK, slug)
    return found


def _delete(client: SyncPrefectClient) -> list[str]:
    """Deletes automations and block; returns a line for each."""
    lines = []
    for name in (RUNS, EVENTS):
        found = client.read_automations_by_name(name)
        for automation in found:
            client.delete_automation(automation.id)
        lines.append(f"Automation '{name}': {'deleted' if found else 'there is none'}")
    blocks = _documents(client)
    for block in blocks.values():
        client.delete_block_document(block.id)
    return [*lines, f"Block {BLOCK}: {'deleted' if blocks else 'there is none'}"]


def _of_runs(block: UUID) -> AutomationCore:
    return AutomationCore(
        name=RUNS,
        description="Notifies of runs that failed or crashed, and of promotions",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{name}" for name in STATES},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
            ),
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            SendNotification(
                block_document_id=block,
                subject=f"{OURS}: {{{{ flow.name }}}} {{{{ flow_run.state.name }}}}",
                body="{{ flow_run.state.message }}\n\n{{ flow_run | ui_url }}",
            )
        ],
    )


def _of_events(block: UUID) -> AutomationCore:
    return AutomationCore(
        name=EVENTS,
        description=f"Notifies of the events {OURS}.*, such as that of `watch`",
        trigger=EventTrigger(expect={f"{OURS}.*"}, posture=Posture.Reactive, threshold=1),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="{{ event.event }} {{ event.resource.name }}",
                body="{{ event.payload.message }}\n\n{{ event.payload.page or '' }}",
            )
        ],
    )
