"""Publishes the artifact of a flow run in Prefect, a page for people to read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from pipelines.errors import PipelineError
from pipelines.names import OURS, Logged
from pipelines.tracking import connection, run_log
from pipelines.tracking.connection import Project
from pipelines.tracking.report_values import Leaf
from pipelines.workspaces import merging

if TYPE_CHECKING:  # it imports scipy.stats: half a second
    from pipelines.watching.night import Night

COLUMNS = {"Precision": "precision", "Recall": "recall", "F1": "f1", "Support": "support"}


def trained(
    project: Project,
    logged: Logged,
    figures: Mapping[str, Leaf],
    workspace: Path,
    seconds: float,
    promotion: str | None = None,
) -> None:
    """Publishes the promotion of a run that trained, its scores, and links."""
    before = ", as before: the same result (dvc.lock)" if logged.already_logged else ""
    _publish(
        logged.model,
        f"{logged.model} version {logged.version}{before}",
        *([promotion] if promotion else []),
        scores(figures),
        _links(project, logged),
        f"- Workspace `{workspace}`, {seconds:.0f} s",
    )


def evaluated(model: str, title: str, figures: Mapping[str, Leaf]) -> None:
    """Publishes the champion's scores of a night."""
    _publish(model, title, scores(figures))


def watched(night: "Night") -> None:
    """Publishes what the watch of the served text found; the texts themselves are MLflow's."""
    lines = ["| | test | served | distance | |", "|---|---:|---:|---:|---|"]
    lines += [
        f"| {each.title} | {each.test:.3g} | {each.served:.3g} | {each.most.distance:.2f}"
        f" | {'shifted' if each.shifted else ''} |"
        for each in night.shifts
    ]
    links = [f"- {_link('Page', night.page)}"] if night.page else []
    _publish(night.version.name, str(night), "\n".join(lines), *links)


def nothing(message: str, project: Project, logged: Logged) -> None:
    """Publishes that a run was not needed, with links to what makes it so."""
    _publish(logged.model, f"{logged.model}: nothing to do", message, _links(project, logged))


def failed(folder: Path, message: str) -> None:
    """Publishes why a run of the project in `folder` failed."""
    try:
        model = merging.model_name(folder)
    except PipelineError:  # what failed may be its params.yaml
        model = OURS
    _publish(model, f"{model}: failed", f"```text\n{message}\n```")


def scores(figures: Mapping[str, Leaf]) -> str:
    """A Markdown table of test scores: all entities, then each type."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in score_rows(figures))])


def score_rows(figures: Mapping[str, Leaf]) -> list[list[str]]:
    """The rows of that table: `all types` or an entity type, then a cell for each of `COLUMNS`."""
    rows = []
    for row in [key.removesuffix(".f1") for key in figures if key.endswith(".f1")]:
        if row == "test" or row.startswith("test."):
            values = [figures.get(f"{row}.{key}") for key in COLUMNS.values()]
            name = row.removeprefix("test").removeprefix(".") or "all types"
            rows.append([name, *(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values)])
    return rows


def _publish(model: str, title: str, *paragraphs: str) -> None:
    key = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")  # as Prefect takes one
    markdown = "\n\n".join([f"## {title}", *paragraphs])
    try:
        create_markdown_artifact(markdown, key=key, description=title)
    except httpx.HTTPError as error:
        # All is done: a missing page must not undo that.
        get_run_logger().warning("Prefect did not take the run's artifact (%s)", error)


def _links(project: Project, logged: Logged) -> str:
    """A list: MLflow's run, the version and the report."""
    lines = [
        f"- MLflow run {_link(logged.run_id, run_log.page(project, logged))}",
        f"- Version {_link(logged.version, run_log.version_page(project, logged))} of the model",
    ]
    try:
        if report := run_log.report(project, logged):
            lines.append(f"- {_link('Report', report)}")
    except connection.FAILURES as error:
        get_run_logger().warning("MLflow does not tell where the report is (%s)", error)
    return "\n".join(lines)


def _link(name: str, address: str | None) -> str:
    if address and address.startswith("http"):
        return f"[{name}]({address})"
    return f"{name}: `{address}`" if address else f"`{name}`"
