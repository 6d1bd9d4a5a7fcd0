"""comparison.html in MLflow, with the run of the version that it is about."""

from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from pipelines import tracking
from pipelines.tracking import Logged

FILE = "comparison.html"


def log_comparison(project: Path, version: ModelVersion, html: str) -> str:
    """Keeps the page, in place of one of before; returns where to look at it."""
    client = tracking.connect(project)
    run_id = str(version.run_id)
    client.log_text(run_id, html, FILE)
    page = tracking.page(project, Logged(run_id, str(version.version), already_logged=True))
    if page:
        return f"{page}/artifacts/{FILE}"
    return f"{client.get_run(run_id).info.artifact_uri}/{FILE}".removeprefix("file://")
