"""Checks that MLflow accepts runs, as the flow does before its first stage."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.checks.finding import Finding, Level, Requirements
from pipelines.errors import PipelineError, without_password


def check(required: Requirements) -> Iterator[Finding]:  # noqa: ARG001
    """Yields one finding; on a server it creates the experiment if missing, as a run would."""
    from pipelines.tracking import connection

    project = Path.cwd()
    if connection.nothing_logged(project):
        yield Finding("mlflow", Level.OK, "no server is set: the first run creates mlflow.db here")
        return
    try:
        connection.check(project)
    except PipelineError as error:
        message, _, remedy = str(error).rpartition(": ")
        yield Finding("mlflow", Level.ERROR, message, remedy)
    else:
        yield Finding("mlflow", Level.OK, f"{without_password(connection.uri(project))} answers")
