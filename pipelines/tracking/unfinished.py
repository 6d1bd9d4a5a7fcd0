"""Runs in MLflow that have not ended well: opened, resumed, and marked as failed or killed."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, RunStatus, RunTag
from mlflow.tracking.context.registry import resolve_tags

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.names import Logged
from pipelines.registry import descriptions, pages, versions
from pipelines.tracking import environment
from pipelines.tracking.connection import Project
from pipelines.tracking.run_files import LOG, RunFiles
from pipelines.workspaces import run_state, stage_log
from pipelines.workspaces.workspace import Workspace

# Tags of a run.
COMPLETE = "log_complete"  # the last one
INPUTS = "inputs_sha256"
STAGE = "stage"  # at work, or in which the run ended; a complete run has none
LAST_LINES = 15
ENDED_BADLY = {"FAILED", "KILLED"}


def opened(project: Project, made: Workspace, inputs: str | None) -> RunFiles:
    """Opens the run of a workspace: a failed or killed one of this checkout, or a new one.

    One with the same `inputs`, by which `up_to_date` knows a run, and the same params.yaml goes on.
    """
    client = project.client
    tags = _tags(project, made) | ({INPUTS: inputs} if inputs else {})
    with one_at_a_time(project.folder, "open"):
        run_id = id_of(project, made) or (_resumable(project, tags) if inputs else None)
        if run_id is None:
            return RunFiles(client, _create(project, made, tags), made)
        client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])
        client.update_run(run_id, "RUNNING", made.run_id)
        descriptions.describe_run(client, run_id, "It goes on where it was ended.")
        return RunFiles(client, client.get_run(run_id), made)


def id_of(project: Project, made: Workspace) -> str | None:
    """The id of a workspace's run that was opened and has no result; None if there is none."""
    tags = {"workspace": made.run_id, environment.CHECKOUT: environment.checkout(project.folder)}
    wanted = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    found = project.client.search_runs([project.experiment_id], wanted)
    return next((str(run.info.run_id) for run in found if _has_no_result(project, run)), None)


def of_workspace(project: Project, made: Workspace) -> RunFiles:
    """The run that was opened for a workspace; if there is none, a new one that began with it."""
    client = project.client
    with one_at_a_time(project.folder, "open"):
        if run_id := id_of(project, made):
            client.update_run(run_id, "RUNNING")  # so that no other flow goes on in it
            return RunFiles(client, client.get_run(run_id), made)
    return RunFiles(client, _create(project, made, _tags(project, made), made.made_ms), made)


def conclude(client: MlflowClient, run_id: str, path: Path, end_ms: int | None = None) -> None:
    """Marks the run of the workspace `path` as failed or killed, as its `.state` says.

    The run gets the stage in which it ended, and the log with its last lines.
    """
    run = client.get_run(run_id)
    if COMPLETE in run.data.tags or run.info.lifecycle_stage == LifecycleStage.DELETED:
        return
    state = run_state.read(path)
    reason = state.reason if state else "its workspace is gone"
    failed = state and state.state in ("failed", "unlogged") and reason != run_state.KILLED
    status = "FAILED" if failed else "KILLED"
    stage, lines = stage_log.last(path, LAST_LINES)
    where = f" in stage {stage}" if stage else ""
    printed = "".join(f"\n    {line}" for line in lines)
    descriptions.describe_run(client, run_id, f"**{status}**{where}: {reason}\n{printed}")
    if stage:
        client.set_tag(run_id, STAGE, stage)
        client.log_text(run_id, stage_log.text(path), LOG)
    client.set_terminated(run_id, status, end_ms)


def point_to(project: Project, run_id: str, same: Logged) -> None:
    """Ends a run whose result is logged in another one, and says where."""
    place = pages.run(project.experiment_id, same.run_id)
    text = f"The same result as [version {same.version}]({place}), so it registered none."
    descriptions.describe_run(project.client, run_id, text)
    project.client.set_terminated(run_id)


def sweep(project: Path) -> None:
    """Marks the runs of this checkout whose process is gone; a running one holds a lock."""
    if not (project / ".runs").is_dir():
        return
    with descriptions.spared("end of a run whose process is gone"):
        run_state.sweep(project)
        for run in _running(project):
            path = project / ".runs" / run.data.tags.get("workspace", "none")
            if not run_state.is_held(path) and not _is_being_logged(project):
                conclude(MlflowClient(), run.info.run_id, path, last_sign_ms(path))


def running(project: Path) -> list[dict[str, str | None]]:
    """The runs of this checkout that are going: name, stage, beginning, and page on a server."""
    server, found = mlflow.get_tracking_uri(), []
    for run in _running(project):
        since = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        page = f"{server}/{pages.run(run.info.experiment_id, run.info.run_id)}"
        found.append(
            {
                "name": run.info.run_name,
                "stage": run.data.tags.get(STAGE),
                "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
                "page": page if server.startswith("http") else None,
            }
        )
    return found


def _running(project: Path) -> list[Run]:
    try:
        checkout = environment.checkout(project)
    except OSError:  # nothing runs in a read-only project
        return []
    wanted: dict[str, Any] = {"search_all_experiments": True, "output_format": "list"}
    text = f"attributes.status = 'RUNNING' and tags.{environment.CHECKOUT} = '{checkout}'"
    found: list[Run] = mlflow.search_runs(filter_string=text, **wanted)
    return found


def abandoned(run: Run, project: Path) -> bool:
    """Whether no process logs to it any more; a running one may belong to another checkout.

    In this one the caller holds the lock of `one_at_a_time`.
    """
    if run.info.status != RunStatus.to_string(RunStatus.RUNNING):
        return True
    own = run.data.tags.get(environment.CHECKOUT) == environment.checkout(project)
    return own and not run_state.is_held(project / ".runs" / run.data.tags.get("workspace", "none"))


@contextmanager
def one_at_a_time(project: Path, what: str = "log") -> Iterator[None]:
    """Holds a lock of the project.

    `log`: else two equal results would both be logged. `open`, for moments: else a run that goes on
    in an old one would find it deleted, or another there.
    """
    (project / ".runs").mkdir(exist_ok=True)
    with (project / ".runs" / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_being_logged(project: Path) -> bool:
    """Whether a process logs a run, whose workspace it need not hold."""
    with (project / ".runs" / "log.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _resumable(project: Project, tags: dict[str, str]) -> str | None:
    """The id of the newest failed or killed run with these tags."""
    same = (INPUTS, "params_sha256", environment.CHECKOUT)
    wanted = " and ".join(f"tags.{key} = '{tags[key]}'" for key in same)
    for run in project.client.search_runs([project.experiment_id], wanted):
        if run.info.status in ENDED_BADLY and _has_no_result(project, run):
            return str(run.info.run_id)
    return None


def _has_no_result(project: Project, run: Run) -> bool:
    return COMPLETE not in run.data.tags and not versions.need(project.client, run)


def _tags(project: Project, made: Workspace) -> dict[str, str]:
    return environment.tags(made) | {environment.CHECKOUT: environment.checkout(project.folder)}


def _create(
    project: Project, made: Workspace, tags: dict[str, str], start_ms: int | None = None
) -> Run:
    # Who and by what command, as MLflow's fluent API adds it.
    known = resolve_tags(tags)
    return project.client.create_run(project.experiment_id, start_ms, known, made.run_id)


def last_sign_ms(path: Path) -> int:
    """When the run of the workspace `path` last wrote what it measures or prints."""
    files = [path / stage_log.FILE, *(path / dvc_stages.MEASURED).glob("*")]
    times = [file.stat().st_mtime for file in files if file.exists()]
    return int(max(times, default=time.time()) * 1000)
