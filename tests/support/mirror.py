"""A real HTTP server on loopback that behaves as mirrors do, the bad ones too."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Reply:
    """How one path answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)  # the next transfers break after as many bytes
    hang_after: int | None = None  # bytes, then not one more
    silent: bool = False  # takes the request and says nothing
    ranges: bool = True
    length: bool = True  # False: the end is where the connection closes
    endless: bool = False
    first: list["Reply"] = field(default_factory=list)  # what the next requests get in place of it


class Mirror:
    """`replies` by path; `requests`, (path, Range), and their `headers` are what was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.headers: list[Message] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def put(self, path: str, body: bytes = b"", cuts: Sequence[int] = (), **how: Any) -> str:
        """Serves `body` at `path`; gives its address."""
        self.replies[path] = Reply(body, cuts=list(cuts), **how)
        return self.url + path

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            asked = self.headers["Range"]
            mirror.requests.append((path, asked))
            mirror.headers.append(self.headers)
            self.close_connection = True
            reply = mirror.replies.get(path, Reply(b"not here", 404))
            if reply.first:
                reply = reply.first.pop(0)
            ranges = reply.ranges and reply.status == 200
            with contextlib.suppress(ConnectionError):  # the client has had enough
                self._answer(reply, int(asked[6:-1]) if asked and ranges else None)

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, reply: Reply, start: int | None) -> None:
            if reply.silent:
                mirror.closing.wait()
                return
            end = len(reply.body)
            if start is not None and start >= end:
                self.send_error(416)
                return
            self.send_response(reply.status if start is None else 206)
            self.send_header("Connection", "close")  # or the next request may be sent into it
            if start is not None:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            body = reply.body[start or 0 :]
            if reply.length and not reply.endless:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if reply.cuts:
                body = body[: reply.cuts.pop(0)]
            self.wfile.write(body[: reply.hang_after])
            if reply.hang_after is not None:
                mirror.closing.wait()
            while reply.endless and not mirror.closing.is_set():
                self.wfile.write(b"x" * 65536)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Mirror()
    yield server
    server.close()


mirror_2 = mirror_3 = mirror
