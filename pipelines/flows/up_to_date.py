"""Whether anything changed since a run that finished: source, code, parameters, image."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipelines.dvc_repo import fingerprint, remote
from pipelines.errors import NothingToDo, PipelineError
from pipelines.names import MODEL, Logged
from pipelines.promotion import decision
from pipelines.registry import aliases, versions
from pipelines.registry.aliases import CHAMPION
from pipelines.tracking import connection
from pipelines.workspaces import overlays, run_state, workspace
from pipelines.workspaces.overlays import Values
from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.contract.section import expanded, read
from stages.fetching.file import fetch
from stages.params.download import Download

INPUTS, REMOTE = "inputs_sha256", "dvc_remote"  # tags of a run in MLflow
SPLITS = ("train", "dev", "test")


def require_change(
    project: Path,
    params: list[Path],
    dirty: bool = False,
    ref: str | None = None,
    overrides: Values | None = None,
    refetch: bool = False,
    promote: bool = False,
) -> None:
    """Asks before a run, with the same arguments, whether it would find nothing to do.

    So it is where a run with the same commands, parameters, code and image (all as DVC sees them)
    was logged whole, its version is still registered, and its outs are in the DVC remote that is
    set now. With `refetch` sources that are unpinned are fetched, and must have the hash that they
    had then. With `promote` that version must be the champion, or its promotion have been decided
    by the same gates against the same champion.

    Raises:
        NothingToDo: if so.
        PipelineError: as a run would, if MLflow does not answer or no workspace can be made.
    """
    connection.check(project)
    run_state.sweep(project)
    made = workspace.create(project, params, dirty, ref, overrides)
    try:
        for logged in _finished(project, made.path, refetch):
            standing = _standing(project, logged.version, made.path, promote)
            if standing is not None:
                raise NothingToDo(
                    "Nothing to do: source, code, parameters and image are those of"
                    f" {MODEL} version {logged.version}{standing}",
                    logged,
                )
            return
    except MlflowException as error:
        raise PipelineError(
            f"MLflow does not say what was run ({connection.said(error)})"
        ) from None
    finally:
        shutil.rmtree(made.path)


def remember(project: Path, path: Path, logged: Logged, pushed: bool) -> None:
    """Notes in MLflow what a run that is logged now was made from, for `require_change`.

    Args:
        project: Folder of the project.
        path: The run's workspace.
        logged: Where MLflow has it.
        pushed: Whether its outs are in the DVC remote, if one is set.
    """
    client = connection.connect(project)
    client.set_tag(logged.run_id, REMOTE, (remote.name(path) or "") if pushed else "failed")
    client.set_tag(logged.run_id, INPUTS, fingerprint.of(path))


def _finished(project: Path, path: Path, refetch: bool) -> Iterator[Logged]:
    """The finished runs with the inputs of the workspace `path`, the newest first."""
    client = connection.connect(project)
    try:
        inputs = fingerprint.of(path)
        wanted = f"tags.{INPUTS} = '{inputs}' and tags.log_complete = 'true'"
        runs = client.search_runs([connection.experiment(client, project)], wanted)
        now = _unpinned(path) if refetch and runs else {}
    except (PipelineError, StageError):
        return  # the run itself says it better
    for run in runs:
        version = versions.version_of(client, run.data.tags["dvc_lock"])
        at_hand = run.data.tags.get(REMOTE) == (remote.name(path) or "")
        if version and at_hand and now.items() <= _sources(run).items():
            yield Logged(run.info.run_id, version, already_logged=True)


def _unpinned(path: Path) -> dict[str, str]:
    """Split → SHA-256 of each source that may change, as it is now."""
    params = read(Download, path / "params.yaml")
    found = {}
    with TemporaryDirectory() as folder:
        for split, source in params.unpinned.items():
            places = [p if "://" in p else str(path / expanded(p)) for p in source.sources]
            source, file = source.model_copy(update={"sources": places}), Path(folder, split)
            fetch(source, file, timeout_s=params.timeout_s, attempts=params.attempts, remedy="")
            found[split] = sha256(file)
    return found


def _sources(run: Run) -> dict[str, str]:
    """Split → SHA-256, as `download` found it then."""
    for given in run.inputs.dataset_inputs if run.inputs else []:
        found = json.loads(given.dataset.profile or "{}")
        if {"train", "test"} <= found.keys():
            return {split: found[split]["sha256"] for split in SPLITS if split in found}
    return {}


def _standing(project: Path, version: str, path: Path, promote: bool) -> str | None:
    """What became of the version, for the sentence; None if that is still to be decided."""
    client = connection.connect(project)
    champion = aliases.by_alias(client, CHAMPION)
    if version == champion:
        return ", the champion"
    if not promote:
        return ""
    gates = overlays.sections(path).promote
    if not decision.decided(client, version, gates, champion):
        return None
    said = f"still version {champion}" if champion else "none"
    return f", whose promotion is decided (champion: {said})"
