"""`pipelines serve` follows the champion of a real MLflow server, under load."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest

from pipelines.names import MODEL
from pipelines.registry import champion, claim, history, versions
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from tests.pipelines import mlflow_server, standin
from tests.pipelines.champion import register
from tests.pipelines.served import Server
from tests.pipelines.workspaces.test_process_group import wait_for

SWAP_WITHIN_S = 5.0
CLIENTS = 8


@dataclass
class Followed:
    """A server that follows the registry of an MLflow server."""

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

    def version(self) -> str:
        connection = HTTPConnection("127.0.0.1", self.server.port)
        connection.request("GET", "/version")
        answer = connection.getresponse()
        answer.read()
        return answer.headers["X-Model-Version"]


@pytest.fixture(scope="module")
def followed(tiny, empty_mlflow, tmp_path_factory) -> Iterator[Followed]:
    """Versions 1 and 2 answer alike, 3 is sure of all with a score of 2; champion is 1."""
    folder = tmp_path_factory.mktemp("followed")
    url = mlflow_server.prepare(folder, empty_mlflow)
    project = folder / "project"
    project.mkdir()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        running.enter_context(mlflow_server.serving(folder, url))
        patch.setattr(claim, "SETTLE_S", 0.01)
        patch.setenv(connection.URI, url)
        register(project, tiny.onnx, [tiny.report("predictions.jsonl")])
        registry = Registry(connection.connect(project), MODEL)
        newer = ("2", "stages/model/decode.py", lambda text: f"{text}\n# newer\n")
        for number, name, change in (newer, ("3", "stages/scoring/temperature.py", sure)):
            code = project / name
            code.write_text(change(code.read_text()))
            log_version(registry, project, tiny.report("predictions.jsonl"), number)
        server = Server(project, folder / "served.log", "--every", "0.2", MLFLOW_TRACKING_URI=url)
        try:
            yield Followed(registry, server.ready(), project, folder, url, running)
        finally:
            assert server.stop() == 0


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


def test_promotion_and_rollback_under_load_fail_no_request(followed, sentences):
    texts = [text for text, _ in sentences]
    if followed.version() != "1":  # another test came first
        followed.promote("1", "rollback")
        wait_for(lambda: followed.version() == "1", "it begins with version 1", 60)
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
    server, before = followed.server, followed.version()
    with load(server, [sentences[0][0]]) as asked:
        followed.promote("3")
        wait_for(lambda: server.metric('ner_version_refused{version="3"}') == 1, "refused", 60)
        count = len(asked.answers)
        wait_for(lambda: len(asked.answers) > count + 50, "the old one goes on", 60)
        assert server.get("/health") == "\n"
    assert set(asked.versions()) == {before}
    [alert] = [e for e in server.events() if e["level"] == "ERROR" and e.get("version") == "3"]
    assert alert["event"].startswith(f"Cannot serve version 3 of {MODEL}: it answers the text '")
    assert "'score': 2.0" in alert["event"]
    assert alert["serving"] == before
    assert server.metric("ner_versions_loaded") == 1
    followed.promote(before, "rollback")
    wait_for(lambda: server.metric('ner_version_refused{version="3"}') == 0, "it is over", 60)


def test_files_that_are_not_those_that_were_registered_are_not_taken(followed):
    server, before = followed.server, followed.version()
    other = {"1": "2", "2": "1"}[before]
    source = followed.registry.client.get_model_version(MODEL, other).source
    model_id = source.removeprefix("models:/")
    [model] = [path for path in followed.folder.rglob("model.onnx") if model_id in str(path)]
    kept = model.read_bytes()
    model.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        followed.promote(other)
        wait_for(lambda: server.metric(f'ner_version_refused{{version="{other}"}}') == 1, "it", 60)
    finally:
        model.write_bytes(kept)
    alert = [event for event in server.events() if event.get("version") == other][-1]
    assert alert["level"] == "ERROR"
    assert "it is not the one that was registered" in alert["event"]
    assert "model.onnx has SHA-256" in alert["event"]
    assert followed.version() == before
    followed.promote(before, "rollback")


@pytest.mark.slow  # so that all others end within eight minutes
def test_without_mlflow_it_goes_on_and_follows_again_afterwards(followed):
    server, before = followed.server, followed.version()
    other = {"1": "2", "2": "1"}[before]
    followed.mlflow.close()
    wait_for(lambda: server.metric("ner_registry_up") == 0, "it is noticed", 60)
    assert server.rows({"inputs": ["北京"]})[0]["error"] is None
    assert server.get("/health") == "\n"
    followed.mlflow.enter_context(mlflow_server.serving(followed.folder, followed.url))
    followed.promote(other)
    wait_for(lambda: followed.version() == other, "it follows", 60)
    warned = [event["event"] for event in server.events() if event["level"] == "WARNING"]
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
