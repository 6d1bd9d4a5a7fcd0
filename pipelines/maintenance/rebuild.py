"""Rebuilds a registered version from its commit, and compares it with the recorded outs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipelines import settings
from pipelines.corpus_check import growing
from pipelines.dvc_repo import cache, lockfile, repro
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import Exit, PipelineError, Refused
from pipelines.tracking import connection, environment, retention
from pipelines.workspaces import disk, run_state, workspace
from stages.params.download import UNPINNED

IMAGE = "NER_WITH_IMAGE"  # the image that docker/run uses instead of its default
OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Rebuilt:
    """A version whose outs came out identical.

    Attributes:
        version: Its number.
        workspace: Where it was rebuilt.
        outs: The number of identical outs.
        image: A sentence that names the image of the stages.
    """

    version: str
    workspace: Path
    outs: int
    image: str


def rebuild(project: Path, version: str, model: str, on_line: OnLine) -> Rebuilt:
    """Runs all stages of a version again, in a workspace with its commit and its parameters.

    Only data from an unpinned or growing source comes from DVC's cache: it may have changed.
    Each stage is compared as soon as it has run. Nothing is logged to MLflow.

    Args:
        project: Folder of the project; its repository must have the commit.
        version: A version's number, or an alias.
        model: The name of the registered model.
        on_line: Called with each line that the stages print.

    Raises:
        Refused: with `Exit.DIFFERS` and the first difference.
        PipelineError: if it cannot be rebuilt, because an input is missing or a stage fails.
    """
    client = connection.check(project, model=model).client
    run_state.sweep(project)
    with TemporaryDirectory() as folder:
        registered = retention.version_of(project, version, model)
        number, run = str(registered.version), client.get_run(str(registered.run_id))
        recorded = retention.fetch_files(client, registered, Path(folder) / "files")
        ref = _commit(run, registered)
        made = workspace.create(project, [], False, ref, exact=recorded, purpose="rebuild")
        with run_state.running(made.path):
            given = settings.read_run(project / "params.yaml")
            disk.require(project, given.free_disk_gb)
            cache.require_within(project)
            _select_image(run)
            was = lockfile.stages(recorded / "dvc.lock")
            for stage in _stages_to_run(made.path, recorded, on_line):
                limit_s = given.timeout_s(stage)
                repro.repro(made.path, stage, on_line, force=True, timeout_s=limit_s)
                differing = lockfile.difference(
                    project, was.get(stage, {}), lockfile.stages(made.path / "dvc.lock")[stage]
                )
                if differing:
                    raise Refused(
                        Exit.DIFFERS,
                        f"Version {number} of {model} differs, first in stage {stage}: {differing}."
                        f" {_image(run, made.path)}{_environment_changes(run)}",
                    )
    outs = sum(len(stage.get("outs", ())) for stage in was.values())
    return Rebuilt(number, made.path, outs, _image(run, made.path))


def _commit(run: Run, version: ModelVersion) -> str:
    commit = run.data.tags.get("commit", "none")
    if commit == "none" or run.data.tags.get("dirty") == "true":
        raise PipelineError(
            f"Version {version.version} of {version.name} was made from uncommitted changes and"
            f" cannot be rebuilt: commit dirty.diff of run {run.info.run_id} on top of {commit},"
            " and run that commit"
        )
    return commit


def _may_change(path: Path) -> bool:
    """Whether another fetch may bring other data; without `Download`: the commit may be older."""
    own = yaml.safe_load((path / "params.yaml").read_text(encoding="utf-8"))["download"]
    sources = [*own.values(), *own.get("text", ())]
    unpinned = any(isinstance(each, dict) and each.get("sha256") == UNPINNED for each in sources)
    return unpinned or bool(own.get("growing"))


def _stages_to_run(path: Path, recorded: Path, on_line: OnLine) -> Iterator[str]:
    """The stages in order, without `download` if its data comes from DVC by its hash."""
    for stage in dvc_stages.stages(path):
        if stage.name == "download" and _may_change(path):
            on_line("download: its sources may change, so the data comes from DVC by its hash")
            (path / "dvc.lock").write_bytes((recorded / "dvc.lock").read_bytes())
            for out in lockfile.stages(path / "dvc.lock")[stage.name]["outs"]:
                cache.require_whole(path, out["md5"])
            _check_out(path, stage.name)
            growing.take_back(path)
        else:
            yield stage.name


def _check_out(path: Path, stage: str) -> None:
    command = [sys.executable, "-m", "dvc", "checkout", "--quiet", stage]
    env = dvc_stages.environment()
    done = subprocess.run(command, cwd=path, env=env, capture_output=True, check=False)
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise PipelineError(f"DVC has no data for stage {stage} ({words})")


def _select_image(run: Run) -> None:
    recorded = run.data.tags.get("image", "")
    if recorded.startswith("sha256:") and "," not in recorded:
        os.environ[IMAGE] = recorded


def _image(run: Run, path: Path) -> str:
    recorded, used = run.data.tags.get("image"), environment.image(path)
    if used is not None and used == recorded:
        return f"Image: {used}, as recorded"
    return f"Image: {used or 'none (NER_RUNTIME=local)'}, recorded: {recorded or 'none'}"


def _environment_changes(run: Run) -> str:
    """How GPU and packages of this environment differ from the recorded ones."""
    here: dict[str, Any] = {"gpu": "none", **environment.gpu()}
    there = {"gpu": "none", **run.data.tags}
    packages = retention.packages(run).splitlines()
    missing = sorted({*packages} - {*environment.packages().splitlines()})
    gpu = f"; GPU: {here['gpu']}, recorded: {there['gpu']}" if there["gpu"] != here["gpu"] else ""
    return gpu + (f"; missing here: {', '.join(missing[:5])}" if missing else "; same packages")
