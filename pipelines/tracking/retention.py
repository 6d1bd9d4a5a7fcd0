"""MLflow, as `gc` and `bring` see it: what registered versions stand on, and what nobody needs."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from pipelines.errors import PipelineError
from pipelines.names import EXPERIMENT, MODEL
from pipelines.registry import aliases
from pipelines.registry.versions import forget, forgotten
from pipelines.tracking import connection, run_log

FILES = ("dvc.lock", "dvc.yaml", "params.yaml")


def nothing_there(project: Path) -> bool:
    """Whether no run was ever logged; asking MLflow would make an empty mlflow.db."""
    return not os.environ.get("MLFLOW_TRACKING_URI") and not (project / "mlflow.db").exists()


def locks(project: Path, folder: Path) -> list[Path]:
    """The dvc.lock of every version of the model, each fetched below `folder`.

    Raises:
        PipelineError: if one cannot be had, so that it is not known what its version needs.
    """
    if nothing_there(project):
        return []
    client = connection.connect(project)
    try:
        found = _versions(client)
    except MlflowException as error:
        raise PipelineError(
            f"MLflow does not say what is registered ({connection.said(error)})"
        ) from None
    return [files(project, version, folder / version) / "dvc.lock" for version in found]


def number(project: Path, what: str) -> str:
    """The number of the version that `what` names, a number or an alias.

    Raises:
        PipelineError: if no version has that alias, or MLflow does not say.
    """
    if what.isdecimal():
        return what
    try:
        version = aliases.by_alias(connection.connect(project), what)
    except MlflowException as error:
        raise PipelineError(
            f"MLflow does not say what {what!r} is ({connection.said(error)})"
        ) from None
    if version is None:
        raise PipelineError(
            f"No version of {MODEL} has the alias {what!r}: name a version, another alias,"
            " or for `bring` a run in .runs"
        )
    return version


def run_of(project: Path, version: str) -> Run:
    """The run that a version stands on."""
    client = connection.connect(project)
    return client.get_run(str(client.get_model_version(MODEL, version).run_id))


def packages(run: Run) -> str:
    """The packages that it ran with, one a line."""
    return str(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/packages.txt"))


def files(project: Path, version: str, folder: Path) -> Path:
    """Fetches dvc.lock, dvc.yaml and params.yaml of a registered version into `folder`.

    Raises:
        PipelineError: if there is no such version, or its run lacks one of them.
    """
    client = connection.connect(project)
    folder.mkdir(parents=True)
    try:
        run_id = client.get_model_version(MODEL, version).run_id
        for name in FILES:
            client.download_artifacts(str(run_id), name, str(folder))
    except (MlflowException, OSError) as error:
        raise PipelineError(
            f"The files of {MODEL} version {version} cannot be had"
            f" ({connection.said(error)}): mend that,"
            " or delete the version if it is not needed"
        ) from None
    return folder


def prune(project: Path, dry_run: bool) -> list[str]:
    """Deletes the runs that no registered version stands on, with their models.

    Only those that a flow run logged, and none that another host is logging to. In the project's
    own SQLite they are gone for good; on a server they are marked as deleted, and `mlflow gc` there
    does the rest.

    Returns:
        Their ids.
    """
    if nothing_there(project):
        return []
    client = connection.connect(project)
    with run_log.one_at_a_time(project):
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return []
        where = ([experiment.experiment_id], "tags.dvc_lock != 'none'")
        old = [run for run in client.search_runs(*where) if _unneeded(client, run)]
        if not dry_run:
            for run in old:
                forget(client, run)
                client.delete_run(run.info.run_id)
            if not os.environ.get("MLFLOW_TRACKING_URI"):
                deleted = client.search_runs(*where, run_view_type=ViewType.DELETED_ONLY)
                _for_good(project, list(deleted))
        return [run.info.run_id for run in old]


def _versions(client: MlflowClient) -> list[str]:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{MODEL}'", page_token=token)
        found += [str(made.version) for made in page]
        token = page.token
        if not token:
            return found


def _unneeded(client: MlflowClient, run: Run) -> bool:
    versions = client.search_model_versions(f"run_id = '{run.info.run_id}'", max_results=1)
    return run_log.abandoned(run) and not versions


def _for_good(project: Path, runs: list[Run]) -> None:
    uri = connection.uri(project)
    models = {model for run in runs for model in forgotten(run)}
    models |= {out.model_id for run in runs if run.outputs for out in run.outputs.model_outputs}
    command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri]
    command += ["--run-ids", ",".join(run.info.run_id for run in runs)]
    command += ["--logged-model-ids", ",".join(sorted(models))]
    if runs:
        env = {**os.environ, "MLFLOW_TRACKING_URI": uri}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PipelineError(f"mlflow gc: {' '.join(done.stderr.split())[-400:]}")
