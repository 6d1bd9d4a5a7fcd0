"""Clients that each wait for their answer, in one thread: they share the server's cores."""

import json
import selectors
import socket
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlsplit


def latencies_ms(url: str, texts: list[str], clients: int, requests: int) -> list[float]:
    """Sends `requests` requests of these texts by as many clients at once, checks the answers.

    Exits with an error message if one is none.
    """
    request = _request(url, texts)
    result: list[float] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(clients):
            client = _Client(url)
            stack.callback(client.connection.close)
            selector.register(client.connection, selectors.EVENT_READ, client)
            client.send(request)
        while len(result) < requests:
            for key, _ in selector.select():
                client = key.data
                if (answer := client.answer()) is None:
                    continue
                result.append((time.perf_counter() - client.sent) * 1000)
                if len(result) <= requests - clients:
                    client.send(request)
                rows = json.loads(answer)["predictions"]
                if len(rows) != len(texts) or any(row["error"] for row in rows):
                    sys.exit(f"The server answers {answer.decode()}")
    return result


def _request(url: str, texts: list[str]) -> bytes:
    """A whole request, so that a client has nothing to do but to send it."""
    at, body = urlsplit(url), json.dumps({"inputs": texts}).encode()
    head = f"POST {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Client:
    """A connection that stays open, for one request at a time."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self.connection = socket.create_connection((at.hostname, at.port))

    def send(self, request: bytes) -> None:
        self.sent, self._received = time.perf_counter(), b""
        self.connection.sendall(request)

    def answer(self) -> bytes | None:
        """Reads what has come: the answer's body, or None while it is not whole."""
        part = self.connection.recv(2**16)
        self._received += part
        head, end, body = self._received.partition(b"\r\n\r\n")
        status, *headers = head.lower().split(b"\r\n")
        if not part or (end and status != b"http/1.1 200 ok"):
            sys.exit(f"The server answers {self._received.decode()!r}")
        if not end:
            return None
        [length] = [h[16:] for h in headers if h.startswith(b"content-length: ")]
        return body if len(body) == int(length) else None
