"""Knows an MLflow server that does not answer, and how long to wait for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from requests import RequestException

REACH = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@contextmanager
def briefly() -> Iterator[None]:
    """Lets this process wait for MLflow for seconds, not minutes, unless variables say so."""
    ours = {key: value for key, value in REACH.items() if not os.environ.get(key)}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key in ours:
            os.environ.pop(key, None)


def no_answer(error: BaseException | None) -> bool:
    """Whether it comes from a server that was not there, too slow, or broken itself."""
    while error and not isinstance(error, RequestException):
        error = error.__cause__ or error.__context__
    return error is not None
