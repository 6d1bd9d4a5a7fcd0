"""What `pipelines serve` answers beside MLflow's forms: entities, health, metrics, its log."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx
import mlflow
import pytest

from pipelines.names import MODEL
from pipelines.serving.app import make_app
from pipelines.serving.batching import Batcher
from pipelines.serving.guard import Guard, Limits
from pipelines.serving.loading import Loaded, Row
from pipelines.serving.metrics import Metrics
from tests.pipelines.workspaces.test_process_group import wait_for


def asked(server, body: Any, **headers: str) -> tuple[int, dict[str, Any], Any]:
    """Status, body and headers of the answer of /entities."""
    data = json.dumps(body).encode()
    request = Request(
        f"{server.url}/entities", data, {"Content-Type": "application/json", **headers}
    )
    try:
        with urlopen(request) as response:
            return response.status, json.load(response), response.headers
    except HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def test_entities_of_one_text(server, sentences):
    text, expected = max(sentences, key=lambda sentence: len(sentence[1]))
    status, answer, headers = asked(server, {"text": text})
    found = [(e["text"], e["type"], e["start"], e["end"]) for e in answer.pop("entities")]
    assert (status, found) == (200, expected)
    assert answer == {"model": MODEL, "version": "1"}
    assert headers["X-Model-Version"] == "1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"text": 3}, "body.text: Input should be a valid string"),
        ({"texts": ["北京"]}, "body.text: Field required"),
        ({"text": "北京", "more": 1}, "body.more: Extra inputs are not permitted"),
        ({"text": "\ud83d"}, "text has half of a surrogate pair at 0"),
        ({"text": "x" * (2**20 + 1)}, "text has 1048577 characters"),
    ],
)
def test_what_is_no_text_is_refused(server, body, said):
    status, answer, _ = asked(server, body)
    assert (status, answer["error_code"]) == (422, "INVALID_PARAMETER_VALUE")
    assert answer["message"].startswith(said)


def test_the_addresses_of_mlflow(server):
    assert (server.get("/ping"), server.get("/health")) == ("\n", "\n")
    assert server.get("/version") == mlflow.__version__
    assert json.loads(server.get("/openapi.json"))["paths"].keys() >= {"/entities"}


@pytest.mark.parametrize(
    ("path", "body"), [("/invocations", {"inputs": ["北京"]}), ("/entities", {"text": "北京"})]
)
def test_a_model_that_fails_is_an_error_of_the_server(path, body):
    def fail(_: Any) -> list[Row]:
        raise ValueError("broken")

    async def ask() -> httpx.Response:
        metrics = Metrics()
        batcher = Batcher(Loaded("1", "CPU", fail), metrics)
        app = Guard(make_app(MODEL, batcher, metrics, 9, None), Limits(1, 999), metrics, None)
        transport = httpx.ASGITransport(app)
        work = asyncio.create_task(batcher.run())
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            answer = await client.post(path, json=body)
        work.cancel()
        return answer

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "x-request-id" in answer.headers
    assert "broken" not in answer.text


def test_a_short_text_does_not_wait_for_a_long_one(server, sentences):
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.rows, {"inputs": [sentences[0][0] * 3_000]})
        wait_for(lambda: server.metric("ner_requests_open") == 1, "the long text is taken", 10)
        answered = 0
        while not long.done():
            server.rows({"inputs": [sentences[0][0]]})
            answered += not long.done()
        assert long.result()[0]["error"] is None
    assert answered > 3


def test_metrics_count_what_was_answered(server, sentences):
    text, expected = max(sentences, key=lambda sentence: len(sentence[1]))
    names = [
        'ner_requests_total{path="/invocations",status="200"}',
        'ner_request_seconds_count{path="/invocations"}',
        'ner_texts_total{result="ok"}',
        'ner_texts_total{result="error"}',
        "ner_batch_texts_sum",
        *(f'ner_entities_total{{type="{kind}"}}' for kind in ("PER", "ORG", "LOC")),
        *(f'ner_entity_score_count{{type="{kind}"}}' for kind in ("PER", "ORG", "LOC")),
    ]
    before = [server.metric(name) for name in names]
    server.rows({"inputs": [text, text, None]})
    kinds = [sum(2 for e in expected if e[1] == kind) for kind in ("PER", "ORG", "LOC")]
    assert [server.metric(name) - was for name, was in zip(names, before, strict=True)] == [
        1, 1, 2, 1, 3, *kinds, *kinds,
    ]  # fmt: skip
    assert server.metric("ner_texts_waiting") == server.metric("ner_requests_open") == 0
    assert server.metric("ner_versions_loaded") == server.metric("ner_registry_up") == 1
    provider = server.rows({"inputs": [text]})[0]["provider"]
    served = f'ner_model_info{{model="{MODEL}",provider="{provider}",version="1"}}'
    assert server.metric(served) == 1


@pytest.mark.parametrize(
    ("given", "kept"), [("of-the-caller:7", True), ("two\twords", False), ("x" * 129, False)]
)
def test_a_request_is_a_line_of_the_log_with_its_id_and_without_its_text(server, given, kept):
    status, _, headers = asked(server, {"text": "江泽民在北京"}, **{"X-Request-ID": given})
    request_id = headers["X-Request-ID"]
    assert (status, request_id == given) == (200, kept)

    def line() -> dict[str, Any] | None:
        return next((e for e in server.events() if e.get("request_id") == request_id), None)

    wait_for(lambda: line() is not None, "the line is written", 10)
    fields = line()
    assert fields.pop("ms") > 0
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "INFO", "event": "request", "method": "POST", "path": "/entities",
        "request_id": request_id, "status": 200, "texts": 1, "version": "1",
    }  # fmt: skip
    assert "江泽民" not in server.log.read_text()
