"""Keeps the nights of a version in MLflow: a curve of each figure, pages, and what was told."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from mlflow.entities import Metric, RunTag

from pipelines.names import Logged
from pipelines.registry import keys
from pipelines.tracking import nightly_runs, run_log
from pipelines.tracking.connection import Project
from pipelines.watching.night import Night

WATCH = "watch"  # of the experiment MODEL-watch
PAGE = "watch.html"
UNTIL, TOLD = "until", "told"  # tags of the run


@dataclass(frozen=True)
class Last:
    """Where the last night ended, and what it left as told."""

    until: datetime
    told: Collection[str]


def last(project: Project, version: str) -> Last:
    """The last night of `version`; before the first one nothing was told."""
    tags = nightly_runs.of_version(project, WATCH, version).data.tags
    until = tags.get(UNTIL, "1970-01-01T00:00:00+00:00")
    return Last(datetime.fromisoformat(until), list(filter(None, tags.get(TOLD, "").split(","))))


def log(project: Project, night: Night, html: str) -> str:
    """Adds the figures as the next step of each curve; returns the address of the page.

    The page takes the place of the last night's; that of a night that is told of is kept too.
    """
    client, version = project.client, str(night.version.version)
    run = nightly_runs.of_version(project, WATCH, version)
    run_id = run.info.run_id
    step = len(client.get_metric_history(run_id, f"{WATCH}/texts"))
    now = int(night.until.timestamp() * 1000)
    values = {"texts": float(night.texts), "shifted": float(len(night.shifted))}
    for each in night.shifts:
        values |= {f"{each.name}.served": each.served, f"{each.name}.test": each.test}
        values |= {f"{each.name}.distance": each.most.distance, f"{each.name}.p": each.most.p}
    if night.f1:
        values |= {f"f1.{name}": value for name, value in vars(night.f1).items()}
    metrics = [
        Metric(keys.metric(f"{WATCH}.{name}"), value, now, step)
        for name, value in values.items()
        if not math.isnan(value)
    ]
    client.log_batch(run_id, metrics)
    page = f"told/{step}.html" if night.news else PAGE
    for name in {PAGE, page}:
        client.log_text(run_id, html, name)
    here = replace(project, experiment_id=run.info.experiment_id)
    logged = Logged(run_id, project.model, version, already_logged=True)
    return run_log.address(here, logged, page).removeprefix("file://")


def remember(project: Project, night: Night) -> None:
    """Makes it the last night."""
    run_id = nightly_runs.of_version(project, WATCH, str(night.version.version)).info.run_id
    tags = {UNTIL: night.until.isoformat(), TOLD: ",".join(night.told)}
    project.client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
