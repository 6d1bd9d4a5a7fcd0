"""Adds to a logged run what a person looks at in MLflow: description, plots, worst sentences."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from pipelines.corpus_check import growing
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.registry import card, pages
from pipelines.tracking.connection import Project
from pipelines.workspaces import git
from pipelines.workspaces.workspace import Workspace
from stages.report.page import page, with_run
from stages.report.plots import Plot, f1_by_type, learning_curves, reliability_plot

DRAWING = Path(__file__).with_name("plot.svg")
REPORT = "reports/index.html"
TYPES = "reports/f1_by_type.svg"
WORST = "reports/worst_sentences.json"
SENTENCES = 100
LEFT_OUT = 20  # files of a growing source; measured/growing.json has all
FORGE = re.compile(
    r"(?:https?://(?:[^/@]*@)?|ssh://git@|git@)([\w.-]+)(?::\d+)?[:/](.+?)(?:\.git)?/?"
)


def log_pictures(client: MlflowClient, run_id: str, reports: Mapping[str, Path]) -> None:
    """Logs the plots of the report as images beside their data, and the table of sentences."""
    for plot in _plots(reports):
        name = plot.id.removeprefix("plot-")
        client.log_text(run_id, page(DRAWING, {"of": plot}, None), f"reports/{name}.svg")
    if rows := _worst(reports["reports/errors.jsonl"]):
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        client.log_table(run_id, columns, WORST)


def log_report(project: Project, made: Workspace, run_id: str, version: str) -> None:
    """Replaces the logged report by a copy that names the version, the run and its commit."""
    path = made.path / REPORT
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    facts = {
        "Model": f"{project.model} version {version}",
        "Commit": (made.commit or "none")[:8] + _changes(made),
        "Date": f"{made.started:%Y-%m-%d %H:%M} UTC",
        "Run": made.run_id,
    }
    if (filled := with_run(text, facts)) != text:
        project.client.log_text(run_id, filled, REPORT)


def description(project: Project, made: Workspace, run_id: str) -> str:
    """The run's links, its plots and the model card, as Markdown for MLflow's pages."""
    run = (project.experiment_id, run_id)
    logged = {file.path for file in project.client.list_artifacts(run_id, "reports")}
    links = [f"[Run]({pages.run(*run)})"]
    if REPORT in logged:
        links.append(f"[Report]({pages.run(*run, REPORT)})")
    if made.prefect_url:
        links.append(f"[Flow run]({made.prefect_url})")
    links.append(_commit(project.folder, made))
    of_stage = dvc_stages.model_folder(made.path) / card.FILE
    text = card.named(of_stage.read_text(encoding="utf-8"), project.model)
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).strip()  # for the hub
    head, _, tail = text.removeprefix(f"# {project.model}").strip().partition("\n\n")
    plot = f"![F1 by type](get-artifact?path={TYPES}&run_uuid={run_id})" if TYPES in logged else ""
    left = "\n".join(f"- {line}" for line in growing.left_out(made.path)[:LEFT_OUT])
    return "\n\n".join(filter(None, [head, " · ".join(links), left, plot, tail]))


def _commit(project: Path, made: Workspace) -> str:
    if made.commit is None:
        return "no commit"
    name = f"commit `{made.commit[:8]}`"
    try:
        found = FORGE.fullmatch(git.run(project, "remote", "get-url", "origin").strip())
    except PipelineError:  # no origin
        found = None
    if found:
        name = f"[{name}](https://{found[1]}/{found[2]}/commit/{made.commit})"
    return name + _changes(made)


def _changes(made: Workspace) -> str:
    return " with uncommitted changes" if made.dirty_diff else ""


def _plots(reports: Mapping[str, Path]) -> Iterator[Plot]:
    yield from learning_curves(reports["reports/train.csv"])
    test = json.loads(reports["reports/metrics.json"].read_text(encoding="utf-8"))["test"]
    of_types = test.get("types", test)  # an older commit's stages have them beside the figures
    types = {n: row for n, row in of_types.items() if isinstance(row, dict) and "f1_low" in row}
    if types:
        yield f1_by_type(types)
    if bins := reports.get("reports/reliability.csv"):
        with bins.open(encoding="utf-8", newline="") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        yield reliability_plot(rows)


def _worst(errors: Path) -> list[dict[str, Any]]:
    """The sentences with the most, and most confident, mistakes of those that the file lists."""
    rows: dict[str, dict[str, Any]] = {}
    for line in errors.read_text(encoding="utf-8").splitlines():
        error = json.loads(line)
        new = {"weight": 0.0, "gold": [], "predicted": [], "mistakes": []}
        row = rows.setdefault(error["sentence"], new)
        row["weight"] += error["confidence"]
        row["mistakes"].append(error["kind"].replace("_", " "))
        sides = {error["side"]: [error]}
        sides[{"gold": "predicted", "predicted": "gold"}[error["side"]]] = error["against"]
        for side, entities in sides.items():
            row[side] += [f"{entity['text']} {entity['type']}" for entity in entities]
    worst = sorted(rows.items(), key=lambda item: -item[1]["weight"])[:SENTENCES]
    return [
        {
            "sentence": sentence,
            **{
                key: ", ".join(dict.fromkeys(row[key])) for key in ("predicted", "gold", "mistakes")
            },
            "weight": round(row["weight"], 4),
        }
        for sentence, row in worst
    ]
