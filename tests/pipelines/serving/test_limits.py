"""What `pipelines serve` refuses, how it ends, and what it tells a collector of traces."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.pipelines.served import Server
from tests.pipelines.standin import pipelines
from tests.pipelines.workspaces.test_process_group import wait_for

KEY = "a key of some length"  # pragma: allowlist secret
TRACE = "0af7651916cd43dd8448eb211c80319c"  # pragma: allowlist secret
BODY = '{"inputs": ["北京"]}'.encode()


class Connection:
    """A connection that sends the parts of a request when it is told to."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)

    def head(self, path: str, length: int | None, *headers: str) -> None:
        sized = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", sized]
        self.send("\r\n".join([*lines, *headers, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict, dict[str, str]]:
        response = HTTPResponse(self.socket)
        response.begin()
        return response.status, json.loads(response.read()), dict(response.headers)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[str, list]]:
    """An OpenTelemetry collector: its address, and the spans that it got, with their service."""
    spans: list[tuple[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert (self.path, self.headers["x-team"]) == ("/v1/traces", "a b")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    spans.extend((names["service.name"], span) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def start(registered, collector, tmp_path_factory) -> Callable[[], Server]:
    """`start()` gives a server that takes two requests of 2 kB at once, and has a key."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "key").write_text(f"{KEY}\n")
    options = ["--requests", "2", "--max-mb", "0.002", "--pin", "1"]
    traces = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector[0],
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a%20b",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }

    def start() -> Server:
        server = Server(
            registered, folder / "log", *options, "--api-key-file", str(folder / "key"), **traces
        )
        server.headers["Authorization"] = f"Bearer {KEY}"
        return server.ready()

    return start


@pytest.fixture(scope="module")
def running(start) -> Iterator[list[Server]]:
    """The last of those that were started."""
    servers = [start()]
    yield servers
    if servers[-1].process.poll() is None:
        servers[-1].stop()


@pytest.fixture
def small(start, running) -> Server:
    """The same server for all tests, but that one of them ends it."""
    if running[-1].process.poll() is not None:
        running.append(start())
    return running[-1]


@pytest.fixture
def connect(small) -> Iterator[object]:
    """`connect()` gives a connection, which is closed after the test."""
    with ExitStack() as made:

        def connect() -> Connection:
            connection = Connection(small)
            made.callback(connection.close)
            return connection

        yield connect


def with_key(key: str = KEY) -> str:
    return f"Authorization: Bearer {key}"


@pytest.mark.parametrize("headers", [[], [with_key("another key, as long")], [with_key("密钥")]])
def test_without_the_key_only_health_answers(small, connect, headers):
    asking = connect()
    asking.socket.sendall(
        "\r\n".join(["GET /metrics HTTP/1.1", "Host: here", *headers, "", ""]).encode()
    )
    status, answer, _ = asking.answer()
    assert (status, answer["error_code"]) == (401, "UNAUTHENTICATED")
    assert small.get("/health") == "\n"


@pytest.mark.parametrize("header", [with_key(), f"authorization: bearer {KEY}"])
def test_with_the_key_it_answers(connect, header):
    asking = connect()
    asking.socket.sendall(
        "\r\n".join(["GET /version HTTP/1.1", "Host: here", header, "", ""]).encode()
    )
    assert b" 200 OK" in asking.socket.recv(1000)


@pytest.mark.parametrize("length", [4000, None])
def test_a_large_body_is_read_to_its_end_and_refused(connect, length):
    asking = connect()
    asking.head("/invocations", length, with_key())
    chunk = b"x" * 1000
    for _ in range(4):
        asking.send(chunk if length else b"3e8\r\n" + chunk + b"\r\n")
    asking.send(b"" if length else b"0\r\n\r\n")
    status, answer, _ = asking.answer()
    assert (status, answer["error_code"]) == (413, "REQUEST_LIMIT_EXCEEDED")
    assert "2000 bytes" in answer["message"]


def test_more_requests_than_it_takes_get_503_and_when_to_ask_again(connect):
    held = [connect() for _ in range(2)]
    for asking in held:
        asking.head("/invocations", len(BODY), with_key())
    refused = None
    while refused != 503:  # until both have come
        more = connect()
        more.head("/invocations", len(BODY), with_key())
        more.send(BODY)
        refused, answer, headers = more.answer()
    assert int(headers["retry-after"]) >= 1
    assert answer["error_code"] == "TEMPORARILY_UNAVAILABLE"
    for asking in held:
        asking.send(BODY)
        assert asking.answer()[0] == 200
    again = connect()
    again.head("/invocations", len(BODY), with_key())
    again.send(BODY)
    assert again.answer()[0] == 200


def test_a_client_that_goes_frees_its_place(small, connect):
    for _ in range(3):
        asking = connect()
        asking.head("/invocations", len(BODY), with_key())
        asking.send(BODY[:5])
        asking.close()
    asking = connect()
    status = 503
    while status == 503:
        asking = connect()
        asking.head("/invocations", len(BODY), with_key())
        asking.send(BODY)
        status = asking.answer()[0]
    assert status == 200


def test_a_request_is_a_span_of_its_callers_trace(connect, collector):
    asking = connect()
    asking.head("/entities", 20, with_key(), f"traceparent: 00-{TRACE}-b7ad6b7169203331-01")
    asking.send(b'{"text": "\xe5\x8c\x97\xe4\xba\xac"  }')
    assert asking.answer()[0] == 200

    def mine() -> list:
        return [each for each in collector[1] if each[1].trace_id.hex() == TRACE]

    wait_for(mine, "the span is sent", 20)
    [(service, span)] = mine()
    assert (service, span.name, span.kind) == ("msra-ner", "POST /entities", span.SPAN_KIND_SERVER)
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert span.end_time_unix_nano > span.start_time_unix_nano
    attributes = {each.key: each.value for each in span.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["version"].string_value == "1"


def test_it_ends_when_what_it_took_is_answered(small, connect):
    asking = connect()
    asking.head("/invocations", len(BODY), with_key())
    asking.send(BODY[:5])
    wait_for(lambda: small.metric("ner_requests_open") == 1, "the request has come", 20)
    small.process.terminate()
    wait_for(lambda: _refuses(small), "no new one is taken", 20)
    assert small.process.poll() is None
    asking.send(BODY[5:])
    assert asking.answer()[0] == 200
    assert small.process.wait(20) == 0
    assert small.events()[-1]["event"] == "ended"


def _refuses(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_cannot_be_is_told_before_a_model_is_loaded(small, registered, tmp_path):
    (tmp_path / "key").write_text("short")
    for options, said in [
        (["--port", str(small.port)], f"Cannot listen on 127.0.0.1:{small.port}"),
        (["--api-key-file", str(tmp_path / "key")], "has 5 characters: give 16 or more"),
    ]:
        done = pipelines(registered, "serve", *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
