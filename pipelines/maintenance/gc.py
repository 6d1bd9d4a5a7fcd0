"""`python -m pipelines gc`: deletes old workspaces, cache and MLflow runs, by one rule."""

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
    """What was deleted, or would be.

    Attributes:
        workspaces: Their ids.
        mlflow_runs: Their ids.
        checkpoints: Their names.
        cache_objects: How many of the DVC cache.
        left_alone: Why the cache was not touched, in a sentence; None if it was.
    """

    workspaces: list[str]
    mlflow_runs: list[str]
    checkpoints: list[str]
    cache_objects: int
    left_alone: str | None


def prune(project: Path, dry_run: bool) -> Pruned:
    """Deletes what is old, or with `dry_run` says what it would delete.

    Kept are: workspaces that run, or that MLflow has not got yet; of complete ones the last
    run.keep_workspaces, of failed and cancelled ones as many; each MLflow run that a registered
    version stands on; each object of the cache that a registered version's dvc.lock names, or that
    of a kept workspace, of the working tree, of a branch or a tag; the run.keep_workspaces newest
    checkpoints and those in use. While a run is going the cache is left alone.

    Raises:
        PipelineError: if it is not known what a registered version needs; nothing is deleted then.
    """
    keep = settings.read_run(project / "params.yaml").keep_workspaces
    run_state.sweep(project)
    with run_state.none_running(project) as alone, TemporaryDirectory() as folder:
        needed = retention.locks(project, Path(folder))
        old = _old(project, keep)
        kept = [path for path in workspace.all_of(project) if path not in old]
        if not dry_run:
            for path in old:
                shutil.rmtree(path)
        unfinished = checkpoints.prune(project, keep, dry_run)
        try:
            runs = retention.prune(project, dry_run)
        except MlflowException as error:
            raise PipelineError(
                f"MLflow did not delete old runs: {connection.said(error)}"
            ) from None
        needed += [lock for path in kept for lock in path.rglob("dvc.lock")]
        removed, why = 0, None if alone else "a run is going; try again when it has ended"
        try:
            removed = cache.prune(project, needed, dry_run) if alone else 0
        except PipelineError as error:
            why = str(error)
    return Pruned([path.name for path in old], runs, unfinished, removed, why)


def _old(project: Path, keep: int) -> list[Path]:
    count: Counter[bool] = Counter()
    old = []
    for path in workspace.all_of(project):  # the newest first
        word = run_state.word(path)
        if word not in ("running", "unlogged"):
            count[word == "complete"] += 1
            if count[word == "complete"] > keep:
                old.append(path)
    return old
