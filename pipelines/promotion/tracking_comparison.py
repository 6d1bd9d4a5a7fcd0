"""comparison.html in MLflow, with the run of the version that it is about."""

from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from pipelines.tracking import run_log
from pipelines.tracking.run_log import Logged

FILE = "comparison.html"


def log_comparison(project: Path, version: ModelVersion, html: str) -> str:
    """Keeps the page, in place of one of before; returns where to look at it."""
    run_id = str(version.run_id)
    run_log.connect(project).log_text(run_id, html, FILE)
    logged = Logged(run_id, str(version.version), already_logged=True)
    return run_log.address(project, logged, FILE).removeprefix("file://")
