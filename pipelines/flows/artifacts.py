"""Publishes the artifact of a deployed run in Prefect, a page for people to read."""

from collections.abc import Mapping

from prefect.artifacts import create_markdown_artifact

from pipelines.flows.train import Outcome
from pipelines.names import MODEL, Logged
from pipelines.tracking import run_log
from pipelines.tracking.connection import Project
from pipelines.tracking.report_values import Leaf

KEY = "msra-ner"
COLUMNS = {"Precision": "precision", "Recall": "recall", "F1": "f1", "Support": "support"}


def trained(outcome: Outcome, project: Project, promotion: str | None) -> None:
    """Publishes the scores of a run that trained, its version, MLflow run and promotion."""
    logged = outcome.logged
    before = ", as before: the same result (dvc.lock)" if logged.already_logged else ""
    _publish(
        f"{MODEL} version {logged.version}{before}",
        scores(outcome.figures),
        f"MLflow run {_link(project, logged)}; workspace `{outcome.workspace.name}`;"
        f" {outcome.seconds:.0f} s",
        *([f"Promotion: {promotion}"] if promotion else []),
    )


def evaluated(title: str, figures: Mapping[str, Leaf]) -> None:
    """Publishes the champion's scores of a night."""
    _publish(title, scores(figures))


def nothing(message: str, project: Project, logged: Logged) -> None:
    """Publishes that a run was not needed, with a link to the MLflow run that makes it so."""
    _publish(f"{MODEL}: nothing to do", message, f"MLflow run {_link(project, logged)}")


def failed(message: str) -> None:
    """Publishes why a run failed."""
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


def _link(project: Project, logged: Logged) -> str:
    page = run_log.page(project, logged)
    return f"[{logged.run_id}]({page})" if page else f"`{logged.run_id}`"
