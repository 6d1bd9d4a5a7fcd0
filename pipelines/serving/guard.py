"""Lets a request in, or refuses it before anything grows; counts, logs and traces it.

An ASGI middleware. It reads the body itself, within limits of size and time, so that what waits in
this process is bounded whatever clients do.
"""

import asyncio
import hmac
import itertools
import json
import logging
import re
import secrets
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.serving.invocations import Unreadable
from pipelines.serving.metrics import Metrics

OPEN = ("/ping", "/health")
"""Paths without a key, which are not logged either."""
EVENTS = "/registry-events"
PATHS = ("/invocations", "/entities", "/metrics", "/version", EVENTS, *OPEN)
"""Those that metrics tell apart."""
BODY_WITHIN_S = 30.0
READ_TIMES = 8
"""A body of more than so many times the limit is not read to its end."""
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
RETRY_AFTER_S = 1
FAILED = "the server failed: its log has the reason"
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_LIMIT_EXCEEDED",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
logger = logging.getLogger("pipelines.serving.requests")


@dataclass(frozen=True)
class Limits:
    """What a server takes at once.

    Attributes:
        requests: Being received, waiting or answered; more get 503.
        body_bytes: Of one request; more get 413.
        api_key: What a request must have; None: nothing.
    """

    requests: int
    body_bytes: int
    api_key: str | None = None


class Guard:
    """The middleware around an app."""

    def __init__(
        self, app: ASGIApp, limits: Limits, metrics: Metrics, traces: TracerProvider | None
    ) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._tracer = traces.get_tracer("pipelines.serving") if traces else None
        self._open = 0
        self._id, self._number = secrets.token_hex(6), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else f"{self._id}-{next(self._number):x}"
        about: dict[str, Any] = {"request_id": request_id}
        scope["about"] = about  # what the app adds is logged

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                about["status"] = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        with self._span(scope, headers) as span:
            try:
                await self._let_in(scope, headers, receive, answer)
            except Exception:
                logger.exception("failed", extra={"path": scope["path"], **about})
                if "status" not in about:
                    await _refuse(answer, 500, FAILED)
            if span:
                span.set_attributes({"http.response.status_code": about.get("status", 0), **about})
        self._count(scope, about, time.perf_counter() - started)

    async def _let_in(
        self, scope: Scope, headers: dict[bytes, str], receive: Receive, send: Send
    ) -> None:
        if scope["path"] not in OPEN and not self._may(headers):
            await _refuse(send, 401, "send the key: Authorization: Bearer KEY")
            return
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._open >= self._limits.requests:
            await _refuse(send, 503, "the server is busy: try again", RETRY_AFTER_S)
            return
        self._open += 1
        self._metrics.open.inc()
        try:
            body = await self._body(headers, receive)
            sent = False

            async def whole() -> Message:
                nonlocal sent
                if sent:  # then the app waits for its client to go
                    return await receive()
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self._app(scope, whole, send)
        except Unreadable as error:
            await _refuse(send, error.status, str(error))
        except TimeoutError:
            await _refuse(send, 408, f"the body did not come within {BODY_WITHIN_S:.0f} s")
        except ConnectionError:  # the client has gone
            scope["about"]["status"] = 499
        finally:
            self._open -= 1
            self._metrics.open.dec()

    def _may(self, headers: dict[bytes, str]) -> bool:
        if self._limits.api_key is None:
            return True
        given = re.sub("^bearer ", "", headers.get(b"authorization", ""), flags=re.IGNORECASE)
        return hmac.compare_digest(given.strip().encode("latin-1"), self._limits.api_key.encode())

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes:
        """The body; of one that is too large nothing is kept, but it is read to its end.

        Else the client, still sending, would see a broken connection and no answer.
        """
        most = self._limits.body_bytes
        told = headers.get(b"content-length", "0")
        size = int(told) if told.isdigit() else 0
        parts: list[bytes] = []
        read = 0
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
                part = message.get("body", b"")
                read += len(part)
                size = max(size, read)
                if size <= most:
                    parts.append(part)
                else:
                    parts.clear()
                if not message.get("more_body") or read > READ_TIMES * most:
                    break
        if size > most:
            raise Unreadable(413, f"the body is larger than {most} bytes: send fewer texts at once")
        return b"".join(parts)

    def _span(self, scope: Scope, headers: dict[bytes, str]) -> Any:
        if not self._tracer or scope["path"] in OPEN:
            return nullcontext()
        carrier = {key.decode("latin-1"): value for key, value in headers.items()}
        return self._tracer.start_as_current_span(
            f"{scope['method']} {_known(scope['path'])}",
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
        )

    def _count(self, scope: Scope, about: dict[str, Any], seconds: float) -> None:
        path = _known(scope["path"])
        self._metrics.answered(path, about.get("status", 0), seconds)
        if path not in OPEN:
            logger.info(
                "request",
                extra={
                    "method": scope["method"], "path": path, "ms": round(seconds * 1000, 2), **about
                },
            )  # fmt: skip


async def _refuse(send: Send, status: int, sentence: str, retry_s: int | None = None) -> None:
    body, headers = failure(status, sentence, retry_s)
    pairs = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    pairs += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def failure(status: int, sentence: str, retry_after_s: int | None) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error, in the form of MLflow's."""
    fields = {"error_code": CODES.get(status, "INTERNAL_ERROR"), "message": sentence}
    body = json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return body, {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def _known(path: str) -> str:
    return path if path in PATHS else "other"
