"""`pipelines serve` follows the champion of a real MLflow server: polls it, or is told."""

import base64
import hmac
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from pipelines.errors import PipelineError
from pipelines.names import MODEL
from pipelines.registry import webhook
from pipelines.registry.webhook import Webhook
from pipelines.serving.guard import EVENTS
from tests.pipelines import mlflow_server, standin
from tests.pipelines.served import Server
from tests.pipelines.serving.followed import SECRET, WEBHOOKS, load
from tests.pipelines.serving.test_limits import Connection
from tests.pipelines.workspaces.test_process_group import wait_for

SWAP_WITHIN_S = 5.0
TAKEN = f'ner_requests_total{{path="{EVENTS}",status="204"}}'


def test_promotion_and_rollback_under_load_fail_no_request(followed, sentences):
    texts = [text for text, _ in sentences]
    if followed.settled() != "1":  # another test came first
        followed.promote("1", "rollback")
        followed.settled()
    swaps = followed.server.metric("ner_swaps_total")
    with load(followed.server, texts) as asked:
        for version, action in (("2", "promote"), ("1", "rollback"), ("2", "promote")):
            followed.promote(version, action)
            wait_for(lambda v=version: asked.versions()[-1] == v, "it answers", 60)
        wait_for(lambda: set(asked.versions()[-50:]) == {"2"}, "it alone answers", 60)
        loaded = followed.server.metric("ner_versions_loaded")
    ready = [e for e in followed.server.events() if e["event"] == "swapped"][int(swaps) :]
    for event in ready:
        at = datetime.fromisoformat(event["time"]).timestamp()
        assert any(
            version == event["version"] and abs(answered - at) < SWAP_WITHIN_S
            for answered, _, version in asked.answers
        )
    seen = asked.versions()
    changes = [after for before, after in pairwise(seen) if before != after]
    assert changes[0] == changes[-1] == "2"
    assert (loaded, followed.server.metric("ner_swaps_total") - swaps) == (1, 3)
    assert len(list(Path("/proc", str(followed.server.process.pid), "fd").iterdir())) < 100


def test_a_version_that_fails_its_checks_is_an_alert_and_is_not_taken(followed, sentences):
    server, before = followed.server, followed.settled()
    known = len(server.events())
    with load(server, [sentences[0][0]]) as asked:
        followed.promote("3")
        wait_for(lambda: server.metric('ner_version_refused{version="3"}') == 1, "refused", 60)
        count = len(asked.answers)
        wait_for(lambda: len(asked.answers) > count + 50, "the old one goes on", 60)
        assert server.get("/health") == "\n"
    assert set(asked.versions()) == {before}
    [alert] = [e for e in server.events()[known:] if e["level"] == "ERROR"]
    assert alert["version"] == "3"
    assert alert["event"].startswith(f"Cannot serve version 3 of {MODEL}: it answers the text '")
    assert "'score': 2.0" in alert["event"]
    assert alert["serving"] == before
    assert server.metric("ner_versions_loaded") == 1
    followed.promote(before, "rollback")
    wait_for(lambda: server.metric('ner_version_refused{version="3"}') == 0, "it is over", 60)


def test_files_that_are_not_those_that_were_registered_are_not_taken(followed):
    server, before = followed.server, followed.settled()
    source = followed.registry.client.get_model_version(MODEL, "4").source
    model_id = source.removeprefix("models:/")
    [model] = [path for path in followed.folder.rglob("model.onnx") if model_id in str(path)]
    kept = model.read_bytes()
    model.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    followed.promote("4")
    wait_for(lambda: server.metric('ner_version_refused{version="4"}') == 1, "it is refused", 60)
    alert = [event for event in server.events() if event.get("version") == "4"][-1]
    assert alert["level"] == "ERROR"
    assert "it is not the one that was registered" in alert["event"]
    assert "model.onnx has SHA-256" in alert["event"]
    assert server.version() == before
    followed.promote(before, "rollback")


@pytest.fixture(scope="module")
def told(followed) -> Iterator[Server]:
    """A server that would look once in ten minutes, and which MLflow calls."""
    port, folder = standin.closed_port(), followed.folder
    url = f"http://127.0.0.1:{port}{EVENTS}"
    options = ["--every", "600", "--webhook-url", url, "--webhook-secret-file", f"{folder}/secret"]
    options += ["--api-key-file", f"{folder}/secret", "--requests", "4"]
    server = Server(
        followed.project, folder / "told.log", *options, port=port, MLFLOW_TRACKING_URI=followed.url
    )
    server.headers["Authorization"] = f"Bearer {SECRET}"
    server.ready()
    wait_for(lambda: "MLflow sends events" in server.log.read_text(), "it is called", 60)
    yield server
    assert server.stop() == 0
    assert followed.registry.client.list_webhooks() == []


def test_mlflow_tells_of_a_promotion(followed, told):
    events, swaps = told.metric(TAKEN), told.metric("ner_swaps_total")
    followed.swap(told)
    assert told.metric(TAKEN) > events
    assert told.metric("ner_swaps_total") > swaps


def test_a_server_that_mlflow_refuses_a_webhook_says_so_once_and_polls(followed):
    followed.swap(followed.server)
    [line] = [e for e in followed.server.events() if "sends no events" in e["event"]]
    assert (line["level"], line["event"]) == ("WARNING", "MLflow sends no events: it is polled")
    assert "Invalid webhook URL scheme: 'https'" in line["error"]


def test_an_address_has_one_webhook_and_a_dead_one_goes(followed, told, monkeypatch):
    client = followed.registry.client
    [before] = client.list_webhooks()
    dead = Webhook(client, f"http://127.0.0.1:{standin.closed_port()}", SECRET)
    with pytest.raises(PipelineError, match=r"MLflow cannot call .* Connection refused"):
        dead.renew()
    again = Webhook(client, before.url, SECRET)
    again.renew()
    assert len(client.list_webhooks()) == 2
    monkeypatch.setattr(webhook, "STALE_MS", 0)
    again.renew()
    assert [each.webhook_id for each in client.list_webhooks()] == [before.webhook_id]


def test_a_database_sends_no_events(empty_mlflow):
    client = MlflowClient(f"sqlite:///{empty_mlflow}")
    with pytest.raises(PipelineError, match="only an MLflow server sends events"):
        Webhook(client, "https://ner.example.org", SECRET).renew()
    assert client.list_webhooks() == []


@pytest.mark.parametrize(
    ("secret", "age_s", "status"),
    [(SECRET, 290, 204), (SECRET, 310, 401), (SECRET, -310, 401), (SECRET[:-1], 0, 401)],
)
def test_an_event_is_what_mlflow_signed_lately(told, secret, age_s, status):
    body, at = b'{"entity": "model_version_alias"}', str(int(time.time()) - age_s)
    signed = hmac.digest(secret.encode(), b"id.%s.%s" % (at.encode(), body), "sha256")
    headers = {
        "X-MLflow-Delivery-Id": "id",
        "X-MLflow-Timestamp": at,
        "X-MLflow-Signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    assert httpx.post(f"{told.url}{EVENTS}", content=body, headers=headers).status_code == status
    for other in ({}, {**headers, "X-MLflow-Signature": b"\xe9"}):
        refused = httpx.post(f"{told.url}{EVENTS}", content=body, headers=other)
        assert (refused.status_code, refused.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_what_needs_no_key_takes_no_place_of_a_request(told):
    with ExitStack() as held:
        for _ in range(4):
            sending = held.enter_context(closing(Connection(told)))
            sending.head(EVENTS, 10)
        wait_for(lambda: told.metric("ner_requests_open") == 4, "all have come", 20)
        assert httpx.post(f"{told.url}{EVENTS}").status_code == 503
        assert told.rows({"inputs": ["北京"]})[0]["error"] is None


@pytest.mark.slow  # so that all others end within eight minutes
def test_without_mlflow_it_goes_on_and_follows_again_afterwards(followed):
    server, before = followed.server, followed.settled()
    other, known = {"1": "2", "2": "1"}[before], len(server.events())
    followed.promote("3")
    wait_for(lambda: server.metric('ner_version_refused{version="3"}') == 1, "refused", 60)
    followed.mlflow.close()
    wait_for(lambda: server.metric("ner_registry_up") == 0, "it is noticed", 60)
    assert server.metric('ner_version_refused{version="3"}') == 1
    assert server.rows({"inputs": ["北京"]})[0]["error"] is None
    assert server.get("/health") == "\n"
    followed.mlflow.enter_context(mlflow_server.serving(followed.folder, followed.url, **WEBHOOKS))
    followed.promote(other)
    wait_for(lambda: server.version() == other, "it follows", 60)
    warned = [event["event"] for event in server.events()[known:] if event["level"] == "WARNING"]
    assert warned.count("MLflow does not answer") == 1


@pytest.mark.slow  # six seconds
def test_without_any_version_or_mlflow_it_says_what_to_do(empty_mlflow, tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(standin.ROOT / name, tmp_path)
    shutil.copy(empty_mlflow, tmp_path)
    done = standin.pipelines(tmp_path, "serve", "--port", "0")
    assert done.returncode == 1
    assert f"No version of {MODEL} is registered" in done.stderr
    nobody = f"http://127.0.0.1:{standin.closed_port()}"
    done = standin.pipelines(tmp_path, "serve", "--port", "0", MLFLOW_TRACKING_URI=nobody)
    assert done.returncode == 1
    assert done.stderr.startswith(f"MLflow at {nobody} cannot be used (")
