"""What a deployed run leaves in Prefect for people to read: an artifact with a table."""

import os
from collections.abc import Mapping
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from pipelines.flows.train import Outcome
from pipelines.names import EXPERIMENT, MODEL, Logged
from pipelines.tracking import connection
from pipelines.tracking.report_values import Leaf

KEY = "msra-ner"
COLUMNS = {"Precision": "precision", "Recall": "recall", "F1": "f1", "Support": "support"}


def trained(outcome: Outcome, project: Path, promotion: str | None) -> None:
    """The scores of a run that trained, its version, where MLflow has it, and its promotion."""
    logged = outcome.logged
    before = ", as before: the same result (dvc.lock)" if logged.already_logged else ""
    _publish(
        f"{MODEL} version {logged.version}{before}",
        scores(outcome.figures),
        f"MLflow run {_link(project, logged.run_id)}; workspace `{outcome.workspace.name}`;"
        f" {outcome.seconds:.0f} s",
        *([f"Promotion: {promotion}"] if promotion else []),
    )


def evaluated(said: str, figures: Mapping[str, Leaf]) -> None:
    """The champion's scores of a night."""
    _publish(said, scores(figures))


def nothing(said: str, project: Path, logged: Logged) -> None:
    """That a run was not needed, and where MLflow has the one that was."""
    _publish(f"{MODEL}: nothing to do", said, f"MLflow run {_link(project, logged.run_id)}")


def failed(message: str) -> None:
    """Why a run failed."""
    _publish(f"{MODEL}: failed", f"```text\n{message}\n```")


def scores(figures: Mapping[str, Leaf]) -> str:
    """A Markdown table of test scores: all entities, then each type."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in score_rows(figures))])


def score_rows(figures: Mapping[str, Leaf]) -> list[list[str]]:
    """The rows of that table: `all` or an entity type, then a cell for each of `COLUMNS`."""
    rows = []
    for row in [key.removesuffix(".f1") for key in figures if key.endswith(".f1")]:
        if row == "test" or row.startswith("test."):
            values = [figures.get(f"{row}.{key}") for key in COLUMNS.values()]
            name = row.removeprefix("test").removeprefix(".") or "all"
            rows.append([name, *(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values)])
    return rows


def _publish(title: str, *paragraphs: str) -> None:
    markdown = "\n\n".join([f"## {title}", *paragraphs])
    create_markdown_artifact(markdown, key=KEY, description=title)


def _link(project: Path, run_id: str) -> str:
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not server.startswith("http"):
        return f"`{run_id}`"
    found = connection.connect(project).get_experiment_by_name(EXPERIMENT)
    where = f"experiments/{found.experiment_id}/runs/{run_id}" if found else ""
    return f"[{run_id}]({server}/#/{where})"
