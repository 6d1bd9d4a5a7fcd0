"""Notifications on a real Prefect server, which arrive at real receivers on loopback."""

import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import pytest

from pipelines.errors import PipelineError
from pipelines.names import OURS

SECRET = "s3cr3t-path"  # noqa: S105  # pragma: allowlist secret


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted in the server's queue."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.put((self.path, json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *given) -> None:
        pass


class Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as takes a mail."""

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.say("220 loopback")
        for line in self.rfile:
            word = line.decode().strip().upper()
            if word == "DATA":
                self.say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                self.server.got.put(message_from_string("\n".join(lines)))
            self.say("221 bye" if word == "QUIT" else "250 ok")


@pytest.fixture
def receiver() -> Iterator:
    """Starts a server with this handler; what it gets is in `got`."""
    started = []

    def receiver(kind, handler):
        server = kind(("127.0.0.1", 0), handler)
        server.daemon_threads, server.got = True, Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server, server.server_address[1]

    yield receiver
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def notify(prefect_url: str) -> Iterator:
    """`setup --notify`, whose lines are what was done; at the end all is as before."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.flows.notifications import setup

    with temporary_settings({PREFECT_API_URL: prefect_url}):
        yield lambda where: [line.rpartition(": ")[2] for line in setup(str(where))]
        setup("off")


def emit(message: str) -> None:
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"{OURS}.model.dishes", "prefect.resource.name": "dishes"}
    emit_event(f"{OURS}.watch.shifted", resource=resource, payload={"message": message})


@pytest.mark.slow  # seven seconds, a server and its events
def test_a_webhook_hears_of_runs_and_events_until_it_is_off(
    notify, receiver, tmp_path: Path, monkeypatch, caplog, capfd
) -> None:
    from prefect import flow, tags
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.client.orchestration import get_client
    from prefect.states import Completed, Failed

    from pipelines.flows import notifications

    @flow(name="retrain", persist_result=False)
    def ends(state: str):
        kind = Failed if state in ("Failed", "NotPromoted") else Completed
        return kind(name=state, message=f"why: {state}")

    server, port = receiver(ThreadingHTTPServer, Hook)
    file = tmp_path / "address"
    file.write_text(f"http://127.0.0.1:{port}/{SECRET}\n")
    assert notify(file) == ["created"] * 3
    monkeypatch.setenv("HOOK", file.read_text())
    assert notify("env:HOOK") == ["unchanged"] * 3
    ends("Failed", return_state=True)  # without our tag: of another project
    with tags(OURS):
        for state in ("NotPromoted", "Promoted", "NothingToDo", "Failed"):
            ends(state, return_state=True)
    emit("texts have shifted")
    got = [server.got.get(timeout=60) for _ in range(4)]
    assert {path for path, _ in got} == {f"/{SECRET}"}
    bodies = {body["subject"]: body["body"].strip() for _, body in got}
    assert bodies.pop("msra-ner.watch.shifted dishes") == "texts have shifted"
    assert {subject: body.splitlines()[0] for subject, body in bodies.items()} == {
        f"msra-ner: retrain {state}": f"why: {state}"
        for state in ("NotPromoted", "Promoted", "Failed")
    }
    assert all(body["text"] == f"{body['subject']}\n{body['body']}" for _, body in got)
    with get_client(sync_client=True) as client:
        slug = CustomWebhookNotificationBlock.get_block_type_slug()
        shown = client.read_block_document_by_name(notifications.BLOCK, slug, include_secrets=False)
        [automation] = client.read_automations_by_name(notifications.RUNS)
        client.pause_automation(automation.id)
        file.write_text(f"http://127.0.0.1:{port}/other")
        assert notify(file) == ["updated", "unchanged", "unchanged"]
        assert not client.read_automation(automation.id).enabled
    assert SECRET not in f"{shown}{caplog.text}{capfd.readouterr()}"
    assert notify("off") == ["deleted"] * 3
    assert notify("off") == ["there is none"] * 3
    assert server.got.empty()


@pytest.mark.slow  # five seconds; a webhook hears of the same
def test_a_mail_server_hears_of_it_too(notify, receiver, tmp_path: Path) -> None:
    server, port = receiver(socketserver.ThreadingTCPServer, Smtp)
    file = tmp_path / "address"
    file.write_text("https://example.org/hook")
    assert notify(file) == ["created"] * 3
    file.write_text(
        f"mailto://127.0.0.1:{port}?from=ner@example.org&to=ops@example.org&format=text"
    )
    assert notify(file) == ["updated"] * 3
    assert notify(file) == ["unchanged"] * 3
    emit("别的文字")
    mail = server.got.get(timeout=60)
    assert (mail["To"], mail["Subject"]) == ("ops@example.org", "msra-ner.watch.shifted dishes")
    assert mail.get_payload(decode=True).decode().strip() == "别的文字"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "address: No such file or directory; name a file with the address, env:NAME or off"),
        ("", "address has no address; write one line there, such as https://HOST/PATH"),
        (f"nowhere://{SECRET}", "Apprise, by which Prefect sends, cannot read this address"),
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(tmp_path, content, said, caplog) -> None:
    from pipelines.flows.notifications import setup

    file = tmp_path / "address"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PipelineError) as error:
        setup(str(file))
    assert said in str(error.value)
    assert SECRET not in f"{error.value}{caplog.text}"


@pytest.mark.parametrize("where", [f"https://example.org/{SECRET}", "env:NONE_OF_THIS_NAME"])
def test_an_address_on_the_command_line_is_refused_and_a_variable_must_be_set(where) -> None:
    from pipelines.flows.notifications import setup

    with pytest.raises(PipelineError, match="--notify") as error:
        setup(where)
    assert SECRET not in str(error.value)
