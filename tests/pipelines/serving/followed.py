"""A registry of an MLflow server, whose champion a server follows."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import mlflow
from cryptography.fernet import Fernet

from pipelines.names import MODEL
from pipelines.registry import champion, history, versions
from pipelines.registry.registry import Registry
from tests.pipelines.served import Server
from tests.pipelines.workspaces.test_process_group import wait_for

CLIENTS = 8
SECRET = "of the webhooks of tests"  # noqa: S105  # pragma: allowlist secret
# Of MLflow's server: it calls http://127.0.0.1, at once after a webhook is registered, and once.
WEBHOOKS = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",
    "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
}


@dataclass
class Followed:
    """A server that follows the registry of an MLflow server, which refuses it a webhook."""

    registry: Registry
    server: Server
    project: Path
    folder: Path
    url: str
    mlflow: ExitStack

    def promote(self, version: str, action: str = "promote") -> None:
        """Moves the alias as `promote` and `rollback` do."""
        before = self.registry.client.get_model_version_by_alias(MODEL, "champion").version
        event = history.new_event(self.registry, action, str(before), version, "a test", True)
        champion.move(self.registry, event, keep=action == "promote")

    def swap(self, server: Server) -> None:
        """Promotes the other one of versions 1 and 2; ends when `server` answers by it."""
        other = {"1": "2", "2": "1"}[self.settled(server)]
        self.promote(other)
        wait_for(lambda: server.version() == other, "it has the other one", 60)

    def settled(self, server: Server | None = None) -> str:
        """The champion's version; ends when the server answers by it: a test before may not."""
        server = server or self.server
        champion = str(self.registry.client.get_model_version_by_alias(MODEL, "champion").version)
        wait_for(lambda: server.version() == champion, "it has the champion", 60)
        return champion


def newer(text: str) -> str:
    return f"{text}\n# newer\n"


def sure(text: str) -> str:
    found = re.search(r"\n    def score\(.*?\n        \"\"\".*?\"\"\"\n", text, re.DOTALL)
    return text.replace(found[0], f"{found[0]}        return 2.0\n")


def log_version(registry: Registry, project: Path, predictions: Path, expected: str) -> None:
    [experiment] = registry.client.search_experiments(filter_string="name = 'registered'")
    tags = {"dvc_lock": expected * 64, "commit": "none"}
    with mlflow.start_run(experiment_id=experiment.experiment_id, tags=tags) as run:
        versions.log_model(project, MODEL)
        mlflow.log_artifact(str(predictions), "reports")
        made = versions.register(registry, registry.client.get_run(run.info.run_id))
    assert made == expected


@dataclass
class Load:
    """What clients that ask without a pause were answered."""

    answers: list[tuple[float, int, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, port: int, texts: list[str]) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        number = 0
        while not self.over.is_set():
            body = json.dumps({"inputs": [texts[number % len(texts)]]})
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            rows = json.loads(answer.read())["predictions"]
            assert rows[0]["error"] is None
            self.answers.append((time.time(), answer.status, answer.headers["X-Model-Version"]))
            number += 1

    def versions(self) -> list[str]:
        return [version for _, _, version in self.answers]


@contextmanager
def load(server: Server, texts: list[str]) -> Iterator[Load]:
    """Eight clients for as long as this lasts; none may fail."""
    made, failed = Load(), []

    def client() -> None:
        try:
            made.ask(server.port, texts)
        except Exception as error:
            failed.append(error)
            raise

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        wait_for(lambda: len(made.answers) > 100, "the load has begun", 60)
        yield made
    finally:
        made.over.set()
        for each in clients:
            each.join()
    assert failed == []
    assert {status for _, status, _ in made.answers} == {200}
