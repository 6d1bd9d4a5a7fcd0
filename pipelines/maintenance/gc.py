"""Deletes old workspaces, checkpoints, cache files and MLflow runs, by one rule."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.exceptions import MlflowException

from pipelines import settings
from pipelines.dvc_repo import cache
from pipelines.errors import PipelineError
from pipelines.tracking import connection, retention
from pipelines.workspaces import checkpoints, run_state, workspace


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be deleted.

    Attributes:
        workspaces: The ids.
        mlflow_runs: The ids.
        restored: The ids of runs that were in MLflow's bin though a registered version needs them.
        checkpoints: The names.
        cache_objects: The number of objects in the DVC cache.
        cache_skipped: Why the cache was not pruned, as a sentence; None if it was.
    """

    workspaces: list[str]
    mlflow_runs: list[str]
    restored: list[str]
    checkpoints: list[str]
    cache_objects: int
    cache_skipped: str | None


def prune(project: Path, dry_run: bool) -> Pruned:
    """Deletes what is old; with `dry_run` it only returns what it would delete.

    It keeps workspaces that are running or not yet logged; of trainings, evaluations and rebuilds
    each the newest run.keep_workspaces complete ones, and as many failed or cancelled ones; each
    MLflow run of a registered version, and as many failed or killed ones; each cache object that
    the dvc.lock of a registered version names, or that of a kept workspace, the working tree, a
    branch, a tag or an experiment of `dvc exp`; the run.keep_workspaces newest checkpoints and
    those in use. While a run is in progress the cache is not pruned.

    Raises:
        PipelineError: if the needs of a registered version are unknown; nothing is deleted then.
    """
    keep = settings.read_run(project / "params.yaml").keep_workspaces
    run_state.sweep(project)
    with run_state.none_running(project) as alone, TemporaryDirectory() as folder:
        needed = retention.fetch_locks(project, Path(folder))
        old = _old(project, keep)
        kept = [path for path in workspace.all_of(project) if path not in old]
        if not dry_run:
            for path in old:
                shutil.rmtree(path)
        unfinished = checkpoints.prune(project, keep, dry_run)
        try:
            restored = retention.restore(project, dry_run)
            runs = retention.prune(project, keep, dry_run)
        except MlflowException as error:
            raise PipelineError(
                f"MLflow did not delete old runs: {connection.said(error)}"
            ) from None
        needed += [lock for path in kept for lock in path.rglob("dvc.lock")]
        removed, why = 0, None if alone else "a run is in progress; try again when it has ended"
        try:
            removed = cache.prune(project, needed, dry_run) if alone else 0
        except PipelineError as error:
            why = str(error)
    return Pruned([path.name for path in old], runs, restored, unfinished, removed, why)


def _old(project: Path, keep: int) -> list[Path]:
    count: Counter[tuple[str, bool]] = Counter()
    old = []
    for path in workspace.all_of(project):  # newest first
        word = run_state.word(path)
        if word not in ("running", "unlogged", None):  # None: a run is about to begin
            kind = workspace.purpose(path), word == "complete"
            count[kind] += 1
            if count[kind] > keep:
                old.append(path)
    return old
