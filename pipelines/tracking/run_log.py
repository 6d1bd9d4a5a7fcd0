"""MLflow: the one place that writes to it, from the files that the stages wrote."""

import fcntl
import json
import logging
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException

from pipelines.dvc_repo import lockfile
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.registry import versions
from pipelines.tracking import connection, environment, report_values, system_metrics
from pipelines.tracking.connection import Need
from pipelines.tracking.mlflow_uri import uri
from pipelines.tracking.report_values import Leaf

if TYPE_CHECKING:  # else `predict` would import this project's stages/ before the model's own
    from pipelines.workspaces.workspace import Workspace

EXPERIMENT = "msra-ner"
BATCH_METRICS, BATCH_PARAMS = 1000, 100  # MLflow's own limits of one request
REPORT = "reports/index.html"  # where a run has it
REACH = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@dataclass(frozen=True)
class Logged:
    """Where a result is in MLflow; `already_logged` if an equal one was there before."""

    run_id: str
    version: str
    already_logged: bool


def page(project: Path, logged: Logged) -> str | None:
    """The address of the run's page; None where no server shows it."""
    server = uri(project)
    if not server.startswith("http"):
        return None
    run = connect(project).get_run(logged.run_id)
    return f"{server}/#/experiments/{run.info.experiment_id}/runs/{logged.run_id}"


def address(project: Path, logged: Logged, artifact: str) -> str:
    """Where the run's artifact is: on its page, or as a file."""
    if run_page := page(project, logged):
        return f"{run_page}/artifacts/{artifact}"
    return f"{connect(project).get_run(logged.run_id).info.artifact_uri}/{artifact}"


def report(project: Path, logged: Logged) -> str | None:
    """The address of the run's report; None where it has none."""
    found = connect(project).list_artifacts(logged.run_id, str(Path(REPORT).parent))
    if all(file.path != REPORT for file in found):
        return None
    return address(project, logged, REPORT)


def check(project: Path, need: Need = Need.READ) -> None:
    """Makes sure that what is needed can be done later.

    Raises:
        PipelineError: if the tracking server does not answer, or refuses.
    """
    kept = {key: os.environ.get(key) for key in REACH}
    os.environ.update({key: value for key, value in REACH.items() if not kept[key]})
    try:
        client = connect(project)
        connection.require(client, experiment(client, project), need)
    except connection.FAILURES as error:
        raise PipelineError(
            connection.refusal(error)
            or f"MLflow at {uri(project)} cannot be used ({connection.said(error)}): start it, or"
            " correct MLFLOW_TRACKING_URI, or unset it to log beside the project"
        ) from None
    finally:
        for key in (key for key, value in kept.items() if value is None):
            del os.environ[key]


def connect(project: Path) -> MlflowClient:
    """A client of the project's MLflow, which becomes the process's own."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # With a traceback it says what it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    theirs = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri(project))
    if theirs is None:  # MLflow has set it, and it would hold for the next project as well
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return MlflowClient()


def log_run(project: Path, made: "Workspace") -> Logged:
    """Logs what a workspace's stages wrote as one run, and registers the model as one version.

    A result is known by the hash of its dvc.lock. If it is there already, nothing is written; what
    an interrupted call left of it is replaced.

    Raises:
        PipelineError: if the workspace has no dvc.lock or no model.
        MlflowException: if MLflow refuses; calling again completes it.
    """
    client = connect(project)
    dvc_lock = lockfile.sha256(made.path / "dvc.lock")
    with one_at_a_time(project):
        experiment_id = experiment(client, project)
        runs = client.search_runs([experiment_id], f"tags.dvc_lock = '{dvc_lock}'")
        for run in (run for run in runs if "log_complete" in run.data.tags):
            version = versions.version_of(client, dvc_lock) or versions.register(client, run)
            return Logged(run.info.run_id, version, already_logged=True)
        for run in filter(abandoned, runs):
            versions.forget(client, run)
            client.delete_run(run.info.run_id)
        tags = {"dvc_lock": dvc_lock, **environment.tags(made)}
        with mlflow.start_run(experiment_id=experiment_id, run_name=made.run_id, tags=tags) as run:
            run_id = run.info.run_id
            _log_files(client, run_id, made)
            versions.log_model(made.path)
            version = versions.register(client, client.get_run(run_id))
            client.set_tag(run_id, "log_complete", "true")
    return Logged(run_id, version, already_logged=False)


def experiment(client: MlflowClient, project: Path, name: str = EXPERIMENT) -> str:
    """The id of the experiment, which is made if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server decides itself where artifacts go.
        beside = (project / "mlartifacts").resolve().as_uri()
        location = None if os.environ.get("MLFLOW_TRACKING_URI") else beside
        return str(client.create_experiment(name, location))
    if found.lifecycle_stage != "active":
        raise MlflowException(f"experiment {name} is deleted: `mlflow experiments restore`")
    return str(found.experiment_id)


def abandoned(run: Run) -> bool:
    """Whether nobody logs to it any more: another host might, while it is running."""
    running = run.info.status == RunStatus.to_string(RunStatus.RUNNING)
    return not running or run.data.tags.get("host") == platform.node()


def _log_files(client: MlflowClient, run_id: str, made: "Workspace") -> None:
    reports = dvc_stages.reports(made.path)
    found: dict[str, Leaf] = report_values.leaves(reports) | report_values.measured(
        made.path / ".measured"
    )
    system = made.path / system_metrics.FILE
    curves = {**reports, **({system_metrics.FILE.name: system} if system.is_file() else {})}
    now_ms = int(time.time() * 1000)
    metrics = [
        Metric(_name(key), value, now_ms, 0)
        for key, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ] + [
        Metric(_name(key), value, now_ms, step) for key, value, step in report_values.curves(curves)
    ]
    params = [Param(k, v) for k, v in report_values.params(made.path / "params.yaml").items()]
    for start in range(0, len(params), BATCH_PARAMS):
        client.log_batch(run_id, params=params[start : start + BATCH_PARAMS])
    for start in range(0, len(metrics), BATCH_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH_METRICS])
    for key, value in found.items():
        if isinstance(value, str | bool):
            client.set_tag(
                run_id, _name(key), value if isinstance(value, str) else json.dumps(value)
            )
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        client.log_artifact(run_id, str(made.path / name))
    for name, path in reports.items():
        client.log_artifact(run_id, str(path), str(Path(name).parent))
    if (made.path / ".measured").is_dir():
        client.log_artifacts(run_id, str(made.path / ".measured"), "measured")
    if made.dirty_diff:
        client.log_text(run_id, made.dirty_diff, "dirty.diff")
    client.log_text(run_id, environment.packages(), "packages.txt")
    client.log_inputs(run_id, datasets=environment.datasets(made.path, made.commit))


def _name(key: str) -> str:
    return re.sub(r"[^\w\-. /:]", "_", key)


@contextmanager
def one_at_a_time(project: Path) -> Iterator[None]:
    """Two runs with the same result would else both find nothing and both log it."""
    (project / ".runs").mkdir(exist_ok=True)
    with (project / ".runs" / "log.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
