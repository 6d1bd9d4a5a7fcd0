"""Registers an address that MLflow's server calls when an alias moves, and checks its signature."""

import hmac
import time
from base64 import b64encode
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent, WebhookEventStr
from mlflow.webhooks.constants import (
    WEBHOOK_DELIVERY_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_SIGNATURE_VERSION,
    WEBHOOK_TIMESTAMP_HEADER,
)

from pipelines.errors import PipelineError

NAME = "pipelines-serve"
EVENTS: list[WebhookEventStr | WebhookEvent] = [
    "model_version_alias.created",  # also of one that moves
    "model_version_alias.deleted",
]
FRESH_S = 300.0  # the limit in Standard Webhooks, whose form MLflow uses
RENEW_S = 300.0
STALE_MS = 3_600_000  # by MLflow's clock; whose server did not renew it for so long was killed


class Webhook:
    """One address, registered for as long as its server runs."""

    def __init__(self, client: MlflowClient, url: str, secret: str) -> None:
        """Registers nothing yet."""
        self._client, self._url, self._secret = client, url, secret
        self._id: str | None = None

    def renew(self) -> None:
        """Registers the address, or what is registered again, and lets MLflow call it.

        Those that no server renews any more are deleted: MLflow would call them for ever.

        Raises:
            PipelineError: if MLflow is no server, or the call fails.
            MlflowException: if the server has no webhooks, or refuses.
        """
        client, uri = self._client, self._client.tracking_uri
        if not uri.startswith(("http://", "https://")):
            raise PipelineError(f"only an MLflow server sends events, and {uri} is none")
        ours = [each for each in client.list_webhooks(max_results=1000) if each.name == NAME]
        found = next((each.webhook_id for each in ours if each.url == self._url), None)
        if found:
            mine = client.update_webhook(found, events=EVENTS, secret=self._secret, status="ACTIVE")
        else:
            mine = client.create_webhook(NAME, self._url, EVENTS, secret=self._secret)
        self._id = mine.webhook_id
        for each in ours:
            unused_ms = mine.last_updated_timestamp - each.last_updated_timestamp
            if each.webhook_id != self._id and unused_ms > STALE_MS:
                client.delete_webhook(each.webhook_id)
        result = client.test_webhook(mine.webhook_id)
        if not result.success:
            why = result.error_message or f"status {result.response_status}"
            raise PipelineError(f"MLflow cannot call {self._url}: {why}")

    def remove(self) -> None:
        """Deletes it, so that MLflow does not call a server that has ended."""
        if self._id:
            self._client.delete_webhook(self._id)


def unsigned(secret: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """What is wrong with a request that says it is MLflow's; None: nothing.

    The signature is that of Standard Webhooks: HMAC-SHA256 of id, time and body.
    """
    names = (WEBHOOK_DELIVERY_ID_HEADER, WEBHOOK_TIMESTAMP_HEADER, WEBHOOK_SIGNATURE_HEADER)
    sent, at, given = (headers.get(name, "") for name in names)
    digest = hmac.digest(secret.encode(), f"{sent}.{at}.".encode() + body, "sha256")
    expected = f"{WEBHOOK_SIGNATURE_VERSION},{b64encode(digest).decode()}"
    if not hmac.compare_digest(given.encode(), expected.encode()):
        return "the signature is not MLflow's by the secret of --webhook-secret-file"
    if not (at.isdecimal() and abs(time.time() - int(at)) <= FRESH_S):
        return f"the time of the event is not within {FRESH_S:.0f} s of this server's clock"
    return None
