"""The addresses of the server: MLflow's, a plain one for entities, and Prometheus'."""

import asyncio
import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from mlflow.version import VERSION
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict
from starlette.types import Lifespan

from pipelines.serving import invocations
from pipelines.serving.batching import Batcher, Overloaded
from pipelines.serving.guard import FAILED, failure
from pipelines.serving.invocations import Unreadable
from pipelines.serving.loading import Row
from pipelines.serving.metrics import Metrics

JSON = "application/json"
REFUSED = (Unreadable, Overloaded, TimeoutError)


class Asked(BaseModel):
    """A text to find entities in."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str


class Entity(BaseModel):
    """An entity: `text == asked[start:end]`, in code points."""

    text: str
    type: str
    start: int
    end: int
    score: float
    passed: bool | None = None
    """Of a version from before there were thresholds: None."""


class Found(BaseModel):
    """The entities of a text, and the version of the model that found them."""

    entities: list[Entity]
    model: str
    version: str


def make_app(
    model: str, batcher: Batcher, metrics: Metrics, timeout_s: float, lifespan: Lifespan[FastAPI]
) -> FastAPI:
    """The app.

    Args:
        model: The registered model's name.
        batcher: Answers the texts.
        metrics: Of the whole server.
        timeout_s: The time to answer a request.
        lifespan: What runs beside it.
    """
    app = FastAPI(title=model, docs_url=None, redoc_url=None, lifespan=lifespan)

    async def refused(_: Request, error: Exception) -> Response:
        return _refusal(error, timeout_s)

    for kind in (*REFUSED, RequestValidationError, Exception):
        app.add_exception_handler(kind, refused)

    async def rows(request: Request, texts: list[Any]) -> tuple[list[Row], str]:
        async with asyncio.timeout(timeout_s):
            found, version = await batcher.answer(texts)
        request.scope["about"].update(texts=len(texts), version=version)
        return found, version

    async def _invocations(request: Request) -> Response:
        _require_json(request.headers.get("content-type", ""))
        texts = invocations.rows(await request.body())
        found, version = await rows(request, texts)
        return _json({"predictions": found}, version)

    app.add_route("/invocations", _invocations, methods=["POST"])

    @app.post("/entities", response_model=Found)
    async def _entities(asked: Asked, request: Request) -> Response:
        [row], version = await rows(request, [asked.text])
        if row["error"]:
            raise Unreadable(422, row["error"])
        fields = {"entities": row["entities"], "model": model, "version": version}
        return _json(fields, version)

    _add_others(app, batcher, metrics)

    return app


def _add_others(app: FastAPI, batcher: Batcher, metrics: Metrics) -> None:
    """Adds what is asked of the server and not of the model."""

    @app.get("/ping")
    @app.get("/health")
    async def _health() -> Response:
        return Response("\n", media_type=JSON)

    @app.get("/version")
    async def _version() -> Response:
        return Response(VERSION, media_type=JSON, headers=_served_by(batcher.loaded.version))

    @app.get("/metrics")
    async def _metrics() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _refusal(error: Exception, timeout_s: float) -> Response:
    """The answer to a request that raised an error, in the form of MLflow's."""
    match error:
        case Unreadable():
            return _error(error.status, str(error))
        case Overloaded():
            return _error(503, str(error), error.retry_after_s)
        case TimeoutError():
            return _error(504, f"it took more than {timeout_s:.0f} s: send fewer texts at once")
        case RequestValidationError():
            return _invalid(error)
    return _error(500, FAILED)


def _invalid(error: RequestValidationError) -> Response:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    status = 400 if first["type"] == "json_invalid" else 422
    return _error(status, f'{place}: {first["msg"]}; send JSON such as {{"text": "..."}}')


def _error(status: int, sentence: str, retry_after_s: int | None = None) -> Response:
    body, headers = failure(status, sentence, retry_after_s)
    return Response(body, status, headers, JSON)


def _require_json(content_type: str) -> None:
    """As MLflow's server: parameters but the character set are refused too."""
    kind, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if kind != JSON or any(parameter != "charset=utf-8" for parameter in parameters):
        raise Unreadable(415, f"Content-Type must be {JSON}, it is {content_type[:99]!r}")


def _json(fields: dict[str, Any], version: str) -> Response:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return Response(text, media_type=JSON, headers=_served_by(version))


def _served_by(version: str) -> dict[str, str]:
    return {"X-Model-Version": version}
