"""`python -m pipelines rebuild`: a registered version made anew, and compared with what it was."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Run

from pipelines import settings
from pipelines.dvc_repo import cache, lockfile
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import Exit, PipelineError, Refused
from pipelines.names import MODEL
from pipelines.tracking import connection, environment, retention
from pipelines.workspaces import disk, run_state, workspace
from stages.contract.errors import StageError
from stages.contract.section import read
from stages.params.download import Download

IMAGE = "NER_WITH_IMAGE"  # docker/run takes that one instead of the one that it would choose
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rebuilt:
    """A version that came out as it was.

    Attributes:
        version: Its number.
        workspace: Where it was made anew.
        outs: How many outs are equal.
        image: In words, which image the stages ran in.
    """

    version: str
    workspace: Path
    outs: int
    image: str


def rebuild(project: Path, what: str, say: Say) -> Rebuilt:
    """Runs all stages of a version again, in a workspace of its commit and its parameters.

    Nothing is taken from DVC's cache but data whose source is unpinned, which may be another by
    now. Each stage is compared as soon as it has run; nothing is logged to MLflow.

    Args:
        project: Folder of the project, whose repository has the commit.
        what: A version's number, or an alias.
        say: Is given each line that the stages print.

    Raises:
        Refused: with `Exit.DIFFERS` and the first difference.
        PipelineError: if it cannot be made anew: what it was made from is not there, or a stage
            fails.
    """
    connection.check(project)
    run_state.sweep(project)
    with TemporaryDirectory() as folder:
        number = retention.number(project, what)
        recorded = retention.files(project, number, Path(folder) / "files")
        run = retention.run_of(project, number)
        made = workspace.create(project, [], False, ref=_commit(run, number), exact=recorded)
        with run_state.running(made.path):
            given = settings.read_run(project / "params.yaml")
            disk.require(project, given.free_disk_gb)
            cache.require_within(project)
            _ask_for_image(run)
            was = lockfile.stages(recorded / "dvc.lock")
            for stage in _to_run(made.path, recorded, say):
                dvc_stages.repro(
                    made.path, stage, say, force=True, timeout_s=given.timeout_s(stage)
                )
                differing = lockfile.difference(
                    project, was.get(stage, {}), lockfile.stages(made.path / "dvc.lock")[stage]
                )
                if differing:
                    raise Refused(
                        Exit.DIFFERS,
                        f"{MODEL} version {number} differs first in stage {stage}:"
                        f" {differing}. {_image(run, made.path)}{_surroundings(run)}",
                    )
    outs = sum(len(stage.get("outs", ())) for stage in was.values())
    return Rebuilt(number, made.path, outs, _image(run, made.path))


def _commit(run: Run, number: str) -> str:
    commit = run.data.tags.get("commit", "none")
    if commit == "none" or run.data.tags.get("dirty") == "true":
        raise PipelineError(
            f"{MODEL} version {number} was made from uncommitted changes (dirty.diff of"
            f" run {run.info.run_id}): commit them on {commit} and run that, then it can be rebuilt"
        )
    return commit


def _to_run(path: Path, recorded: Path, say: Say) -> Iterator[str]:
    """The stages in order, but `download` where its data is taken from DVC by its hash."""
    try:
        unpinned = read(Download, path / "params.yaml").unpinned
    except StageError:  # of a commit with other parameters than today's
        unpinned = {}
    for stage in dvc_stages.stages(path):
        if stage.name == "download" and unpinned:
            say("download: sources are unpinned, so the data comes from DVC by its hash")
            (path / "dvc.lock").write_bytes((recorded / "dvc.lock").read_bytes())
            for out in lockfile.stages(path / "dvc.lock")[stage.name]["outs"]:
                cache.require_whole(path, out["md5"])
            _check_out(path, stage.name)
        else:
            yield stage.name


def _check_out(path: Path, stage: str) -> None:
    command = [sys.executable, "-m", "dvc", "checkout", "--quiet", stage]
    env = dvc_stages.environment()
    done = subprocess.run(command, cwd=path, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(f"DVC has no data of {stage} ({' '.join(done.stderr.split())})")


def _ask_for_image(run: Run) -> None:
    recorded = run.data.tags.get("image", "")
    if recorded.startswith("sha256:") and "," not in recorded:
        os.environ[IMAGE] = recorded


def _image(run: Run, path: Path) -> str:
    was, now = run.data.tags.get("image"), environment.image(path)
    if now is None:
        made = f"the version was made in {was}" if was else "nor was one when it was made"
        return f"No image was used (NER_RUNTIME=local), {made}"
    if now == was:
        return f"In its recorded image, {now}"
    return f"In {now}, the version was made {f'in {was}' if was else 'without an image'}"


def _surroundings(run: Run) -> str:
    """What of the machine is another than it was; the packages are those of this environment."""
    here: dict[str, Any] = {"gpu": "none", **environment.gpu()}
    there = {"gpu": "none", **run.data.tags}
    packages = retention.packages(run).splitlines()
    other = sorted({*packages} - {*environment.packages().splitlines()})
    said = f"; GPU {there['gpu']}, here {here['gpu']}" if there["gpu"] != here["gpu"] else ""
    return said + (f"; not here: {', '.join(other[:5])}" if other else "; the same packages")
