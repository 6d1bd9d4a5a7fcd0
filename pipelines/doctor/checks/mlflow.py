"""Whether MLflow takes a run, as the flow asks it before its first stage."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.checks.finding import Asked, Finding, Level
from pipelines.errors import PipelineError, without_password


def check(asked: Asked) -> Iterator[Finding]:  # noqa: ARG001
    """One finding; on a server the experiment is made if it is not there, as a run would do."""
    from pipelines.tracking import connection

    project = Path.cwd()
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (project / "mlflow.db").exists():
        yield Finding("mlflow", Level.OK, "no server is set: the first run makes mlflow.db here")
        return
    try:
        connection.check(project)
    except PipelineError as error:
        said, _, do = str(error).rpartition(": ")
        yield Finding("mlflow", Level.ERROR, said, do)
    else:
        yield Finding("mlflow", Level.OK, f"{without_password(connection.uri(project))} answers")
