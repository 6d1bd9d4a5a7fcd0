"""Which MLflow runs and files registered versions need, and which runs can be deleted."""

import io
import os
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.errors import PipelineError
from pipelines.registry import aliases, keys, versions
from pipelines.registry.registry import Registry
from pipelines.tracking import connection, environment, local_store, unfinished
from pipelines.workspaces import merging

FILES = ("dvc.lock", "dvc.yaml", "params.yaml")
# Each of these tags marks a run of a flow: an older one, and one that has no result yet.
OURS = ("dvc_lock", environment.CHECKOUT)


def fetch_locks(project: Path, folder: Path) -> list[Path]:
    """Downloads the dvc.lock of every registered version below `folder`.

    Raises:
        PipelineError: if one cannot be read, because then its version's needs are unknown.
    """
    if connection.nothing_logged(project):
        return []
    client = connection.check(project).client
    try:
        if not os.environ.get(connection.URI):
            local_store.require_known(client, project)
        found = _registered(project)
    except MlflowException as error:
        raise PipelineError(
            f"MLflow did not list the registered versions ({connection.said(error)})"
        ) from None
    return [
        fetch_files(client, version, folder / version.name / str(version.version)) / "dvc.lock"
        for version in found
    ]


def restore(project: Path, dry_run: bool) -> list[str]:
    """Takes the runs of registered versions out of MLflow's bin; returns their ids."""
    if connection.nothing_logged(project):
        return []
    client = connection.connect(project)
    binned = [version for version in _registered(project) if versions.is_binned(client, version)]
    if not dry_run:
        for version in binned:
            versions.restore_run(client, version)
    return [str(version.run_id) for version in binned]


def _registered(project: Path) -> list[ModelVersion]:
    """The versions of each model that was registered here, also by hand from one of our runs."""
    model = merging.model_name(project)
    runs = {run.info.run_id for run in _of_flows(ViewType.ALL)}
    return [
        version
        for version in mlflow.search_model_versions()
        if version.name == model or version.run_id in runs or "dvc_lock" in keys.tags(version)
    ]


def version_of(project: Path, version: str, model: str) -> ModelVersion:
    """The version of `model` that is named by its number or an alias.

    Raises:
        PipelineError: if there is no such version, or MLflow does not answer.
    """
    registry = Registry(connection.connect(project), model)
    if version.isdecimal():
        return versions.get(registry, version)
    try:
        number = aliases.by_alias(registry, version)
    except MlflowException as error:
        raise PipelineError(
            f"MLflow did not find the alias {version!r} ({connection.said(error)})"
        ) from None
    if number is None:
        raise PipelineError(
            f"No version of {model} has the alias {version!r}. Name a version, another alias,"
            " or for `bring` a run in .runs"
        )
    return versions.get(registry, number)


def packages(run: Run) -> str:
    """The packages that a run used, one per line."""
    return str(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/packages.txt"))


def fetch_files(client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """Downloads dvc.lock, dvc.yaml and params.yaml of a registered version into `folder`.

    Raises:
        PipelineError: if its run lacks one of the files.
    """
    folder.mkdir(parents=True)
    try:
        for name in FILES:
            client.download_artifacts(str(version.run_id), name, str(folder))
    except (MlflowException, OSError) as error:
        raise PipelineError(
            f"The files of {keys.named(version)} are missing ({connection.said(error)}):"
            " restore them from a backup, or delete the version if it is not needed"
        ) from None
    return folder


def prune(project: Path, keep: int, dry_run: bool) -> list[str]:
    """Deletes the runs that no registered version needs, with their models.

    Of failed and killed ones each model keeps the `keep` newest. It deletes only runs that a flow
    logged, and none that another host is logging to; on a server those of the project's model, and
    of other models those that this checkout logged. In the project's SQLite they are deleted for
    good, if their files are the project's; on a server they are marked as deleted, and `mlflow gc`
    there frees their space.

    Returns:
        The ids of the runs.
    """
    if connection.nothing_logged(project):
        return []
    client = connection.connect(project)
    unfinished.sweep(project)
    with unfinished.one_at_a_time(project), unfinished.one_at_a_time(project, "open"):
        found = _of_project(client, project, _of_flows(ViewType.ACTIVE_ONLY))
        found = [run for run in found if _unneeded(client, project, run)]
        old = _without_newest_failures(found, keep)
        if not dry_run:
            for run in old:
                versions.forget(client, run)
                client.delete_run(run.info.run_id)
            if not os.environ.get(connection.URI):
                deleted = _of_flows(ViewType.DELETED_ONLY)
                unneeded = [run for run in deleted if not versions.need(client, run)]
                _delete_for_good(client, [r for r in unneeded if local_store.holds(project, r)])
        return [run.info.run_id for run in old]


def _of_project(client: MlflowClient, project: Path, runs: list[Run]) -> list[Run]:
    """Those of `runs` that are the project's to delete: all in its own database."""
    if not os.environ.get(connection.URI):
        return runs
    experiment = client.get_experiment_by_name(merging.model_name(project))
    own, checkout = experiment and experiment.experiment_id, environment.checkout(project)
    return [
        run
        for run in runs
        if run.info.experiment_id == own or run.data.tags.get(environment.CHECKOUT) == checkout
    ]


def _of_flows(view: int) -> list[Run]:
    """What flows logged, of any model, by MLflow's own search: the client's gives one page."""
    wanted: dict[str, Any] = {"search_all_experiments": True, "output_format": "list"}
    found = (
        mlflow.search_runs(filter_string=f"tags.{tag} != 'none'", run_view_type=view, **wanted)
        for tag in OURS
    )
    return list({run.info.run_id: run for runs in found for run in runs}.values())


def _without_newest_failures(runs: list[Run], keep: int) -> list[Run]:
    count: Counter[str] = Counter()
    old = []
    for run in sorted(runs, key=lambda run: -run.info.start_time):
        if run.info.status in unfinished.ENDED_BADLY:
            count[run.info.experiment_id] += 1
            if count[run.info.experiment_id] <= keep:
                continue
        old.append(run)
    return old


def _unneeded(client: MlflowClient, project: Path, run: Run) -> bool:
    return unfinished.abandoned(run, project) and not versions.need(client, run)


def _delete_for_good(client: MlflowClient, runs: list[Run]) -> None:
    """Does what `mlflow gc --run-ids` does, and no more.

    That command would also delete each experiment in MLflow's bin with its runs and, given no
    model, each model there, whoever made them.
    """
    from mlflow.cli import _gc_tracking_resources  # its core; imported here, as it takes a second

    models = {model for run in runs for model in versions.forgotten(run)}
    models |= {out.model_id for run in runs if run.outputs for out in run.outputs.model_outputs}
    with redirect_stdout(io.StringIO()):
        _gc_tracking_resources(
            client._tracking_client.store,
            [run.info.run_id for run in runs],
            experiment_ids=None,
            logged_model_ids=sorted(models),
            older_than=None,
            time_delta=0,
            skip_experiments=True,
            skip_logged_models=False,
            ignore_not_found=True,
        )
