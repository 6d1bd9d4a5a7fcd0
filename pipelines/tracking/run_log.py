"""Logs a run to MLflow from the files that its stages wrote; nothing else logs runs."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Param, Run, RunStatus, ViewType
from mlflow.entities.model_registry import ModelVersion

from pipelines.dvc_repo import lockfile
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.names import Logged
from pipelines.registry import descriptions, keys, pages, serving_code, versions
from pipelines.tracking import datasets, environment, report_values, run_page, system_metrics
from pipelines.tracking.connection import Project
from pipelines.tracking.report_values import Leaf
from pipelines.workspaces.workspace import Workspace

BATCH_METRICS, BATCH_PARAMS = 1000, 100  # MLflow's limits for one request
TAG_CHARACTERS = 8000  # MLflow's limit
COMPLETE = "log_complete"  # the last tag of a run
DATA_WARNINGS = "data_warnings"  # a tag of a run


def page(project: Project, logged: Logged) -> str | None:
    """The address of the run's page; None where no server shows it."""
    return _on_server(project, pages.run(project.experiment_id, logged.run_id))


def version_page(project: Project, logged: Logged) -> str | None:
    """The address of the version's page; None where no server shows it."""
    return _on_server(project, pages.version(logged.model, logged.version))


def _on_server(project: Project, place: str) -> str | None:
    return f"{project.uri}/{place}" if project.uri.startswith("http") else None


def address(project: Project, logged: Logged, artifact: str) -> str:
    """The address of the run's artifact: on its page, or of the file."""
    if place := _on_server(project, pages.run(project.experiment_id, logged.run_id, artifact)):
        return place
    return f"{project.client.get_run(logged.run_id).info.artifact_uri}/{artifact}"


def report(project: Project, logged: Logged) -> str | None:
    """The address of the run's report; None if it has none."""
    files = project.client.list_artifacts(logged.run_id, str(Path(run_page.REPORT).parent))
    if all(file.path != run_page.REPORT for file in files):
        return None
    return address(project, logged, run_page.REPORT)


def log_run(project: Project, made: Workspace) -> Logged:
    """Logs what a workspace's stages wrote as one run, and registers the model as one version.

    The hashes of dvc.lock and of the code that serves the model identify a result. If it is logged
    already, nothing is written. What an interrupted call left of it is completed if it has a
    version, which may be the champion by now, and otherwise replaced.

    Raises:
        PipelineError: if the workspace has no dvc.lock or no model.
        MlflowException: if MLflow refuses; calling again completes it.
    """
    client, registry, experiment_id = project.client, project.registry, project.experiment_id
    identity = {
        "dvc_lock": lockfile.sha256(made.path / "dvc.lock"),
        versions.SERVING: serving_code.sha256(made.path),
    }
    with one_at_a_time(project.folder):
        wanted = " and ".join(f"tags.{key} = '{value}'" for key, value in identity.items())
        found = client.search_runs([experiment_id], wanted, ViewType.ALL)
        for run in found:
            if registered := versions.of_run(registry, run):
                _complete(project, made, run, registered)
                number = str(registered.version)
                return Logged(run.info.run_id, registry.model, number, already_logged=True)
        runs = [run for run in found if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
        for run in (run for run in runs if COMPLETE in run.data.tags):
            version = versions.register(registry, run)
            return Logged(run.info.run_id, registry.model, version, already_logged=True)
        for run in runs:
            if not abandoned(run, project.folder) or versions.need(client, run):
                continue
            versions.forget(client, run)
            client.delete_run(run.info.run_id)
        tags = identity | environment.tags(made)
        tags[environment.CHECKOUT] = environment.checkout(project.folder)
        with mlflow.start_run(experiment_id=experiment_id, run_name=made.run_id, tags=tags) as run:
            run_id = run.info.run_id
            _log_files(client, run_id, made)
            versions.log_model(made.path, registry.model)
            version = versions.register(registry, client.get_run(run_id))
            _describe(project, made, run_id, version)
            client.set_tag(run_id, COMPLETE, "true")
        first = versions.first_of(registry, identity)
        if str(first.version) != version:  # another host logged the same at the same time
            versions.forget(client, client.get_run(run_id))
            client.delete_run(run_id)
            versions.challenge(registry, first)
            with descriptions.spared("new description of the model"):
                descriptions.describe_model(registry)
            return Logged(
                str(first.run_id), registry.model, str(first.version), already_logged=True
            )
    return Logged(run_id, registry.model, version, already_logged=False)


def abandoned(run: Run, project: Path) -> bool:
    """Whether no process logs to it any more; a running one may belong to another checkout.

    In this one the caller holds the lock of `one_at_a_time`.
    """
    running = run.info.status == RunStatus.to_string(RunStatus.RUNNING)
    owner = run.data.tags.get(environment.CHECKOUT)
    return not running or owner == environment.checkout(project)


def _complete(project: Project, made: Workspace, run: Run, registered: ModelVersion) -> None:
    """Does what an interrupted call left undone after it had registered the version."""
    client = project.client
    versions.restore_run(client, registered)
    if COMPLETE not in run.data.tags:
        versions.challenge(project.registry, registered)
        _describe(project, made, run.info.run_id, str(registered.version))
        client.set_tag(run.info.run_id, COMPLETE, "true")


def _describe(project: Project, made: Workspace, run_id: str, version: str) -> None:
    with descriptions.spared(f"description of version {version}"):
        text = run_page.description(project, made, run_id)
        descriptions.describe_run(project.client, run_id, text)
        descriptions.describe_version(project.registry, version, text)


def _log_files(client: MlflowClient, run_id: str, made: Workspace) -> None:
    reports = dvc_stages.reports(made.path)
    of_reports = report_values.leaves(reports)
    found: dict[str, Leaf] = of_reports | report_values.measured(made.path / ".measured")
    # MLflow lists metrics in the order in which they came.
    figures = {key: found[key] for key in keys.METRICS if key in found} | found
    system = made.path / system_metrics.FILE
    curves = {**reports, **({system_metrics.FILE.name: system} if system.is_file() else {})}
    now_ms = int(time.time() * 1000)
    numbers = [
        (key, value, 0)
        for key, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    # Of a name and step the last value alone: MLflow copies what has step 0 to the logged model,
    # whose table takes no second value of one name, time and step.
    points = {(keys.metric(k), step): v for k, v, step in [*numbers, *report_values.curves(curves)]}
    metrics = [Metric(key, value, now_ms, step) for (key, step), value in points.items()]
    params = [Param(k, v) for k, v in report_values.params(made.path / "params.yaml").items()]
    for start in range(0, len(params), BATCH_PARAMS):
        client.log_batch(run_id, params=params[start : start + BATCH_PARAMS])
    for start in range(0, len(metrics), BATCH_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH_METRICS])
    for key, value in of_reports.items():
        if isinstance(value, str | bool):
            client.set_tag(run_id, key, value if isinstance(value, str) else json.dumps(value))
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        client.log_artifact(run_id, str(made.path / name))
    for name, path in reports.items():
        client.log_artifact(run_id, str(path), str(Path(name).parent))
    if (made.path / ".measured").is_dir():
        client.log_artifacts(run_id, str(made.path / ".measured"), "measured")
    if made.dirty_diff:
        client.log_text(run_id, made.dirty_diff, "dirty.diff")
    _tag_data_warnings(client, run_id, made)
    client.log_text(run_id, environment.packages(), "packages.txt")
    client.log_inputs(run_id, datasets=datasets.inputs(made.path, made.commit))
    with descriptions.spared("plots or worst sentences of the run"):
        run_page.log_pictures(client, run_id, reports)


def _tag_data_warnings(client: MlflowClient, run_id: str, made: Workspace) -> None:
    """Says on the run's page what is wrong with its corpus, a line a warning."""
    if warnings := report_values.data_warnings(made.path):
        client.set_tag(run_id, DATA_WARNINGS, "\n".join(warnings)[:TAG_CHARACTERS])


@contextmanager
def one_at_a_time(project: Path) -> Iterator[None]:
    """Holds the project's logging lock: else two equal results would both be logged."""
    (project / ".runs").mkdir(exist_ok=True)
    with (project / ".runs" / "log.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
