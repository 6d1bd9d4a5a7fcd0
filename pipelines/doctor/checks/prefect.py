"""Checks that the server that Prefect's settings name answers."""

from collections.abc import Iterator
from importlib.util import find_spec

from pipelines.doctor.checks.finding import Finding, Level, Requirements
from pipelines.errors import PipelineError, without_password
from pipelines.flows import local_server


def check(required: Requirements) -> Iterator[Finding]:  # noqa: ARG001
    """Yields one finding."""
    if find_spec("prefect") is None:
        raise ModuleNotFoundError(name="prefect")
    url = local_server.configured()
    if url is None:
        yield Finding("prefect", Level.OK, "no server is set: a run starts its own")
        return
    try:
        local_server.ask(url, ", or unset PREFECT_API_URL to run without one")
    except PipelineError as error:
        message, _, remedy = str(error).rpartition(": ")
        yield Finding("prefect", Level.ERROR, message, remedy)
    else:
        yield Finding("prefect", Level.OK, f"{without_password(url)} answers")
