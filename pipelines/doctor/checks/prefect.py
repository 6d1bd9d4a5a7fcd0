"""Whether the Prefect server answers that PREFECT_API_URL or the Prefect profile names."""

from collections.abc import Iterator
from importlib.util import find_spec

from pipelines.doctor.checks.finding import Asked, Finding, Level
from pipelines.errors import PipelineError
from pipelines.flows import local_server


def check(asked: Asked) -> Iterator[Finding]:  # noqa: ARG001
    """One finding."""
    if find_spec("prefect") is None:
        raise ModuleNotFoundError(name="prefect")
    url = local_server.configured()
    if url is None:
        yield Finding("prefect", Level.OK, "no server is set: a run starts its own")
        return
    try:
        local_server.ask(url, ", or unset PREFECT_API_URL to run without one")
    except PipelineError as error:
        said, _, do = str(error).rpartition(": ")
        yield Finding("prefect", Level.ERROR, said, do)
    else:
        yield Finding("prefect", Level.OK, f"{url} answers")
