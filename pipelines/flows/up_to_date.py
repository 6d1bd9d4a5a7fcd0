"""Decides whether a run is needed: did source, code, parameters or image change since the last?"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from pipelines.dvc_repo import fingerprint, remote
from pipelines.errors import NothingToDo, PipelineError
from pipelines.names import Logged
from pipelines.promotion import decision
from pipelines.registry import aliases, serving_code, versions
from pipelines.registry.aliases import CHAMPION
from pipelines.tracking import connection
from pipelines.tracking.connection import Project
from pipelines.tracking.unfinished import INPUTS
from pipelines.workspaces.workspace import Workspace
from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.contract.section import expanded
from stages.fetching.file import fetch
from stages.params.download import TEXT

REMOTE = "dvc_remote"  # a tag of a run in MLflow
SPLITS = ("train", "dev", "test")


def require_change(
    project: Project,
    made: Workspace,
    refetch: bool = False,
    promote: bool = False,
    known: str | None = None,
) -> None:
    """Checks that a run in the workspace `made` would find something to do.

    There is nothing to do if a run with the same commands, parameters, code and image (all as DVC
    sees them), and the same serving code and packages, was logged completely, its version is still
    registered, and its outs are in the DVC remote that is set now. With `refetch` unpinned sources
    are fetched, and must have the hash that they had then. With `promote` that version must be the
    champion, or its promotion must have been decided by the same gates against the same champion.
    `known` is the hash of its `inputs`, which takes DVC a while.

    Raises:
        NothingToDo: if so.
        PipelineError: if MLflow does not answer.
    """
    try:
        logged = next(_finished(project, made, refetch, known or inputs(made)), None)
        outcome = _outcome(project, logged.version, made, promote) if logged else None
    except MlflowException as error:
        raise PipelineError(
            f"MLflow does not tell which runs it has ({connection.said(error)})"
        ) from None
    if logged and outcome is not None:
        raise NothingToDo(
            "Nothing to do: source, code, parameters and image are those of"
            f" {logged.model} version {logged.version}{outcome}",
            logged,
        )


def remember(
    project: Project, made: Workspace, logged: Logged, pushed: bool, known: str | None = None
) -> None:
    """Notes in MLflow what a logged run was made from, for `require_change`.

    Args:
        project: The project.
        made: The run's workspace.
        logged: The run in MLflow.
        pushed: Whether its outs are in the DVC remote, if one is set.
        known: The hash of its `inputs`, which takes DVC a while.
    """
    default = remote.name(made.path) or ""
    project.client.set_tag(logged.run_id, REMOTE, default if pushed else "failed")
    project.client.set_tag(logged.run_id, INPUTS, known or inputs(made) or "unknown")


def inputs(made: Workspace) -> str | None:
    """The hash of all that a version is made of; None if something is missing.

    The run itself reports that better.
    """
    try:
        parts = fingerprint.of(made.path) + serving_code.sha256(made.path)
    except (PipelineError, StageError):
        return None
    return hashlib.sha256(parts.encode()).hexdigest()


def _finished(
    project: Project, made: Workspace, refetch: bool, known: str | None
) -> Iterator[Logged]:
    """The finished runs with the inputs of the workspace, the newest first."""
    client = project.client
    try:
        wanted = f"tags.{INPUTS} = '{known}' and tags.log_complete = 'true'"
        runs = client.search_runs([project.experiment_id], wanted, ViewType.ALL)
        current = _unpinned(made) if refetch and runs else {}
    except (PipelineError, StageError):
        return  # the run itself reports it better
    default = remote.name(made.path) or ""
    for run in runs:
        version = versions.of_run(project.registry, run)
        pushed = run.data.tags.get(REMOTE) == default
        if version and pushed and current.items() <= _sources(run).items():
            number = str(version.version)
            yield Logged(run.info.run_id, project.model, number, already_logged=True)


def _unpinned(made: Workspace) -> dict[str, str]:
    """Split → SHA-256 of each source that may change, as it is now."""
    params = made.params.stages.download
    hashes = {}
    with TemporaryDirectory() as folder:
        for split, source in params.unpinned.items():
            places = [p if "://" in p else str(made.path / expanded(p)) for p in source.sources]
            source, file = source.model_copy(update={"sources": places}), Path(folder, split)
            fetch(source, file, timeout_s=params.timeout_s, attempts=params.attempts, remedy="")
            hashes[split] = sha256(file)
    return hashes


def _sources(run: Run) -> dict[str, str]:
    """Split → SHA-256, as `download` recorded it then."""
    for dataset_input in run.inputs.dataset_inputs if run.inputs else []:
        profile = json.loads(dataset_input.dataset.profile or "{}")
        if {"train", "test"} <= profile.keys():
            return {
                name: one["sha256"]
                for name, one in profile.items()
                if name in SPLITS or name.startswith(TEXT)
            }
    return {}


def _outcome(project: Project, version: str, made: Workspace, promote: bool) -> str | None:
    """What became of the version, for the message; None if that is still to be decided."""
    champion = aliases.by_alias(project.registry, CHAMPION)
    if version == champion:
        return ", the champion"
    if not promote:
        return ""
    if not decision.decided(project.registry, version, made.params.promote, champion):
        return None
    current = f"still version {champion}" if champion else "none"
    return f", whose promotion is decided (champion: {current})"
