"""Runs the server: loads the version, answers until a signal, ends when all is answered."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import PipelineError
from pipelines.names import REGISTER_FIRST
from pipelines.registry.registry import Registry
from pipelines.registry.webhook import Webhook
from pipelines.serving import logs, traces
from pipelines.serving.app import make_app
from pipelines.serving.batching import Batcher
from pipelines.serving.follow import Events, Follower, FollowPlan
from pipelines.serving.guard import EVENTS, Guard, Limits
from pipelines.serving.loading import Loaded
from pipelines.serving.metrics import Metrics
from pipelines.serving.request_log import LogPlan, RequestLog
from pipelines.serving.shadow import Plan, Shadow
from pipelines.tracking import connection, outages

ANSWER_WITHIN_S = 60.0  # as MLflow's server
END_WITHIN_S = ANSWER_WITHIN_S + 5
THREADS_WITHIN_S = 20.0  # a version is loaded, a last file written
KEY_CHARACTERS = 16
# Of events, whose senders need no key: they take none of the places of requests that have it.
EVENT_LIMITS = Limits(requests=4, body_bytes=65_536)
logger = logging.getLogger("pipelines.serving")


@dataclass(frozen=True)
class Address:
    """Where the server listens; port 0 is one that is free."""

    host: str
    port: int


def serve(
    project: Path,
    model: str,
    following: FollowPlan,
    address: Address,
    limits: Limits,
    shadow: Plan | None,
    log: LogPlan | None,
) -> None:
    """Serves the champion of `model`, or a pinned version, until SIGTERM or SIGINT.

    Args:
        project: The folder whose MLflow has the model.
        model: The registered model's name.
        following: Which version to serve, and how another one is noticed.
        address: Where to listen.
        limits: Of requests.
        shadow: The version to score beside it; None: there is none.
        log: What to keep of requests; None: nothing.

    Raises:
        PipelineError: if the address is taken, no version can be served, or a folder cannot be
            written to.
    """
    logs.configure()
    tracer = traces.provider(model)
    metrics = Metrics()
    # Not `briefly`, MLflow's client would try for minutes, while the first request waits.
    with outages.briefly(), closing(_bound(address)) as listening:
        if connection.nothing_logged(project):  # connecting would create a database
            raise PipelineError(f"No version of {model} is registered. {REGISTER_FIRST}")
        registry = Registry(connection.connect(project), model)
        every_s, events = following.every_s, _events(following, registry)
        beside: list[Shadow | RequestLog | Events] = [events] if events else []
        if shadow:
            beside.append(Shadow(shadow, registry, metrics, every_s))
        if log:
            beside.append(RequestLog(log, model, metrics))
        follower = Follower(registry, metrics.followed, following.pin, events=events)
        # What was imported until now stays: collections, of a second on a busy machine, need not
        # look at it. A version's own objects come later and can go.
        gc.freeze()
        batcher = Batcher(_first(project, follower), metrics)

        def working(_: object) -> AbstractAsyncContextManager[None]:
            return _working(batcher, follower, beside, every_s, listening)

        app = make_app(model, batcher, metrics, ANSWER_WITHIN_S, working)
        guarded: ASGIApp = Guard(app, limits, metrics, tracer)
        if events:
            route = Route(EVENTS, events.answer, methods=["POST"])
            guarded = _by_path(guarded, Guard(route, EVENT_LIMITS, metrics, tracer))
        _run(guarded, listening)
    if tracer:
        tracer.shutdown()
    gc.freeze()  # nor at the end, which took seconds


def _events(following: FollowPlan, registry: Registry) -> Events | None:
    secret, url = following.secret, following.webhook_url
    if secret is None:
        return None
    return Events(secret, Webhook(registry.client, url, secret) if url else None)


def _by_path(app: ASGIApp, events: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (events if scope.get("path") == EVENTS else app)(scope, receive, send)

    return answer


def _first(project: Path, follower: Follower) -> Loaded:
    try:
        return follower.first()
    except connection.FAILURES as error:
        raise PipelineError(
            f"MLflow at {connection.uri(project)} cannot be used ({connection.said(error)}): start"
            " it, or correct MLFLOW_TRACKING_URI, or unset it to serve a model of the project's own"
        ) from None


def key_in(file: Path | None) -> str | None:
    """The key in a file; None: no file is given.

    Raises:
        PipelineError: if the file cannot be read, or its key is short.
    """
    if file is None:
        return None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"The key in {file} cannot be read: {error}") from None
    if len(key) < KEY_CHARACTERS:
        raise PipelineError(
            f"The key in {file} has {len(key)} characters: give {KEY_CHARACTERS} or more, such as"
            " those of `openssl rand -hex 24`"
        )
    return key


def _bound(address: Address) -> socket.socket:
    """A socket that does not listen yet: so a taken port is told before a model is loaded."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Of a socket that is not said to be TCP's, asyncio would leave Nagle's algorithm on: 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address.host, address.port))
    except OSError as error:
        made.close()
        raise PipelineError(
            f"Cannot listen on {address.host}:{address.port} ({error.strerror}): give another"
            " --host or --port"
        ) from None
    return made


@asynccontextmanager
async def _working(
    batcher: Batcher,
    follower: Follower,
    beside: Sequence[Shadow | RequestLog | Events],
    every_s: float,
    listening: socket.socket,
) -> AsyncIterator[None]:
    """While requests come: the model answers batches, and a thread looks for another champion."""
    listening.listen()  # else MLflow, which `beside` lets call it, would be refused
    loop, stop = asyncio.get_running_loop(), threading.Event()
    work = loop.create_task(batcher.run())
    work.add_done_callback(_end_on_failure)
    following = threading.Thread(
        target=follower.run,
        args=(lambda loaded: loop.call_soon_threadsafe(batcher.swap, loaded), every_s, stop),
        daemon=True,
    )
    following.start()
    threads = [following, *(thread for each in beside for thread in each.start(stop))]
    host, port = listening.getsockname()[:2]
    logger.info(
        "serving",
        extra={"address": f"http://{host}:{port}", "version": batcher.loaded.version,
               "provider": batcher.loaded.provider},
    )  # fmt: skip
    yield
    stop.set()
    follower.wake()
    work.cancel()
    # One that is loading a version when Python ends would abort the process, in ONNX Runtime.
    await asyncio.to_thread(_join, threads)
    logger.info("ended")


def _join(threads: list[threading.Thread]) -> None:
    end = time.monotonic() + THREADS_WITHIN_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _end_on_failure(work: "asyncio.Task[None]") -> None:
    """Ends the process if batches are answered no more: else requests would wait for ever."""
    if not work.cancelled() and (error := work.exception()):
        logger.critical("the model's work ended", exc_info=error)
        os._exit(1)


def _run(app: ASGIApp, listening: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=int(END_WITHIN_S),
    )
    # uvicorn raises the signal again that ended it, for the handlers from before.
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
