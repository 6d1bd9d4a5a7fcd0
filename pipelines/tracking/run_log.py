"""Logs the result of a run to MLflow, once, and registers its model."""

from pathlib import Path

import mlflow
from mlflow.entities import LifecycleStage, Run, RunStatus, RunTag, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.dvc_repo import lockfile
from pipelines.names import Logged
from pipelines.registry import descriptions, pages, serving_code, versions
from pipelines.tracking import connection, environment, run_page, unfinished
from pipelines.tracking.connection import Project
from pipelines.tracking.run_files import RunFiles
from pipelines.tracking.unfinished import COMPLETE, one_at_a_time
from pipelines.workspaces import run_state
from pipelines.workspaces.workspace import Workspace


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


def log_run(project: Project, made: Workspace, opened: RunFiles | None = None) -> Logged:
    """Logs what a workspace's stages wrote as one run, and registers the model as one version.

    The hashes of dvc.lock and of the code that serves the model identify a result. If it is logged
    already, nothing is written, and the run that was opened for the workspace is deleted. What an
    interrupted call left of it is completed if it has a version, which may be the champion by now,
    or if it is that run, and otherwise replaced.

    Args:
        project: The project.
        made: The workspace.
        opened: The run that was opened for it; None: it is looked for, or made.

    Raises:
        PipelineError: if the workspace has no dvc.lock or no model.
        MlflowException: if MLflow refuses; calling again completes it.
    """
    client, registry = project.client, project.registry
    identity = {
        "dvc_lock": lockfile.sha256(made.path / "dvc.lock"),
        versions.SERVING: serving_code.sha256(made.path),
    }
    with one_at_a_time(project.folder):
        wanted = " and ".join(f"tags.{key} = '{value}'" for key, value in identity.items())
        found = client.search_runs([project.experiment_id], wanted, ViewType.ALL)
        own = opened.run_id if opened else unfinished.id_of(project, made)
        if same := _logged(project, made, found):
            if own and own != same.run_id and not _delete(project, own):
                unfinished.point_to(project, own, same)
            return same
        for run in found:
            run_id = run.info.run_id
            active = run.info.lifecycle_stage == LifecycleStage.ACTIVE
            if active and run_id != own:
                _delete_abandoned(project, run_id)
        run_files = opened or unfinished.of_workspace(project, made)
        version = _register(project, run_files, identity)
        run_id = run_files.run_id
        first = versions.first_of(registry, identity)
        if str(first.version) != version:  # another host logged the same at the same time
            versions.forget(client, client.get_run(run_id))
            _delete(project, run_id)
            versions.challenge(registry, first)
            with descriptions.spared("new description of the model"):
                descriptions.describe_model(registry)
            return Logged(
                str(first.run_id), registry.model, str(first.version), already_logged=True
            )
    return Logged(run_id, registry.model, version, already_logged=False)


def _logged(project: Project, made: Workspace, found: list[Run]) -> Logged | None:
    """The one of the runs with this result that is complete or has a version; it is completed."""
    registry = project.registry
    for run in found:
        if registered := versions.of_run(registry, run):
            _complete(project, made, run, registered)
            number = str(registered.version)
            return Logged(run.info.run_id, registry.model, number, already_logged=True)
    for run in found:
        if run.info.lifecycle_stage == LifecycleStage.ACTIVE and COMPLETE in run.data.tags:
            version = versions.register(registry, run)
            return Logged(run.info.run_id, registry.model, version, already_logged=True)
    return None


def _register(project: Project, run_files: RunFiles, identity: dict[str, str]) -> str:
    """Completes the run, with its model; returns the number of the new version."""
    client, made, run_id = project.client, run_files.made, run_files.run_id
    with mlflow.start_run(run_id, log_system_metrics=False):
        tags = identity | environment.tags(made)
        client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
        run_files.complete()
        versions.forget(client, client.get_run(run_id))  # what an interrupted call left
        versions.log_model(made.path, project.model)
        version = versions.register(project.registry, client.get_run(run_id))
        _finish(project, made, run_id, version)
    if run_state.word(made.path) == "unlogged":  # logged later: its duration is the run's own
        client.set_terminated(run_id, end_time=unfinished.last_sign_ms(made.path))
    return version


def _complete(project: Project, made: Workspace, run: Run, registered: ModelVersion) -> None:
    """Does what an interrupted call left undone after it had registered the version."""
    versions.restore_run(project.client, registered)
    if COMPLETE not in run.data.tags:
        versions.challenge(project.registry, registered)
        _finish(project, made, run.info.run_id, str(registered.version))
    if run.info.status != RunStatus.to_string(RunStatus.FINISHED):
        project.client.set_terminated(run.info.run_id)


def _finish(project: Project, made: Workspace, run_id: str, version: str) -> None:
    """Describes run and version, and marks the run as complete."""
    client = project.client
    with descriptions.spared(f"description of version {version}"):
        text = run_page.description(project, made, run_id)
        descriptions.describe_run(client, run_id, text)
        descriptions.describe_version(project.registry, version, text)
    with descriptions.spared(f"report that names version {version}"):
        run_page.log_report(project, made, run_id, version)
    if unfinished.STAGE in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, unfinished.STAGE)
    client.set_tag(run_id, COMPLETE, "true")


def _delete_abandoned(project: Project, run_id: str) -> None:
    with one_at_a_time(project.folder, "open"):
        if unfinished.abandoned(project.client.get_run(run_id), project.folder):
            _delete(project, run_id)


def _delete(project: Project, run_id: str) -> bool:
    """Deletes a run with its models, unless a version stands on it; False if we may not."""
    run = project.client.get_run(run_id)
    if not versions.need(project.client, run):
        try:
            versions.forget(project.client, run)
            project.client.delete_run(run_id)
        except MlflowException as error:
            if connection.refusal(error) is None:
                raise
            return False  # who may only write: `gc` of one who may delete does it
    return True
