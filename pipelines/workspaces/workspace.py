"""Creates a run's own copy of the project, so that the user's tree is never written."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pipelines.errors import PipelineError
from pipelines.workspaces import dvc_config, git, overlays, places
from pipelines.workspaces.merging import Values
from pipelines.workspaces.overlays import Sections
from stages.contract.hashing import sha256

Purpose = Literal["training", "evaluation", "rebuild"]
NAMED_FILES = 10
RECORD = ".run.json"
MOMENT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Workspace:
    """A run's own copy of the project.

    Attributes:
        path: The folder, `.runs/RUN_ID` below the project.
        run_id: UTC time and six random hex digits.
        commit: The commit of the files; None if the repository has none yet.
        dirty_diff: How the files differ from it; empty if they do not.
        params_sha256: Of its params.yaml, overlays merged.
        prefect_run_id: The flow run that it belongs to.
        prefect_url: The page of that flow run, where its server has pages.
        purpose: What was run in it; only a training has a result to log or bring.
        merged: Its params.yaml as `create` checked it.
    """

    path: Path
    run_id: str
    commit: str | None
    dirty_diff: str
    params_sha256: str
    prefect_run_id: str | None = None
    prefect_url: str | None = None
    purpose: Purpose = "training"
    merged: Sections | None = field(default=None, repr=False, compare=False)

    @property
    def started(self) -> datetime:
        """When it was made, which its id says."""
        return datetime.fromisoformat(self.run_id.partition("-")[0])

    @property
    def made_ms(self) -> int:
        """The same in milliseconds since 1970."""
        return int(self.started.timestamp() * 1000)

    @property
    def params(self) -> Sections:
        """Its params.yaml, checked; read again only where `create` did not check it."""
        return self.merged or overlays.sections(self.path)


def create(
    project: Path,
    layers: list[Path],
    dirty: bool,
    ref: str | None = None,
    overrides: Values | None = None,
    exact: Path | None = None,
    purpose: Purpose = "training",
) -> Workspace:
    """Copies the files of HEAD, or with `dirty` those of the working tree, to `.runs/RUN_ID`.

    The workspace shares the project's DVC cache. Either it is complete or nothing is left.

    Args:
        project: Folder of the project.
        layers: Overlays, merged in turn over params.yaml, which is then checked.
        dirty: Copy the working tree, uncommitted changes included.
        ref: Branch, tag or commit to copy instead of HEAD and the working tree, fetched first.
        overrides: The last overlay.
        exact: A folder whose params.yaml is taken unchecked instead, without a dvc.lock.
        purpose: What it is for.

    Raises:
        PipelineError: if the project is in no repository, has uncommitted changes and `dirty` is
            false, or its parameters are not valid.
    """
    project = project.resolve()
    places.require_project(project)
    commit = _commit(project, dirty, ref)
    run_id = f"{datetime.now(UTC):{MOMENT}}-{secrets.token_hex(3)}"
    path, merged = project / ".runs" / run_id, None
    with _whole_or_nothing(path) as partial:
        if dirty or commit is None:
            _copy(git.files(project), project, partial)
        else:
            git.check_out(project, commit, partial, partial.with_suffix(".index"))
        if exact:
            (partial / "dvc.lock").unlink(missing_ok=True)
            shutil.copyfile(exact / "params.yaml", partial / "params.yaml")
        else:
            if (project / "dvc.lock").is_file() and not (partial / "dvc.lock").exists():
                shutil.copy2(project / "dvc.lock", partial)
            merged = overlays.merge(layers, partial / "params.yaml", overrides)
        dvc_config.share_cache(project, partial, path)
        params_sha256 = sha256(partial / "params.yaml")
        diff = git.diff(project, commit) if dirty else ""
        made = Workspace(path, run_id, commit, diff, params_sha256, purpose=purpose, merged=merged)
        (partial / RECORD).write_bytes(_record(made))
    return made


def require_runnable(project: Path, layers: list[Path], dirty: bool) -> Sections:
    """Checks all that `create` would find wrong with the project, and copies nothing.

    Returns:
        Its params.yaml with the overlays.

    Raises:
        PipelineError: as `create`.
    """
    places.require_project(project)
    merged = overlays.sections(project, layers)
    _commit(project.resolve(), dirty, None)
    return merged


def belonging_to(made: Workspace, prefect_run_id: str | None, url: str | None) -> Workspace:
    """`made` with its flow run, which is recorded in the folder too."""
    made = replace(made, prefect_run_id=prefect_run_id, prefect_url=url)
    # In place, as a run holds a lock on this very file; one write, which a kill does not divide.
    with (made.path / RECORD).open("r+b") as file:
        file.write(_record(made))
        file.truncate()
    return made


def sweep(project: Path) -> None:
    """Deletes what killed calls of `create` left, unless another call is running."""
    folder = project / ".runs"
    if not folder.is_dir():
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in folder.glob(".*.partial"):
                shutil.rmtree(left)
            for left in folder.glob(".*.index*"):
                left.unlink()
    finally:
        os.close(lock)


def all_of(project: Path) -> list[Path]:
    """The folders of the project's workspaces, the newest first."""
    return sorted((p.parent for p in (project / ".runs").glob(f"[!.]*/{RECORD}")), reverse=True)


def find(project: Path, run_id: str) -> Workspace:
    """The only workspace whose id starts with this.

    Raises:
        PipelineError: if there is none, or more than one.
    """
    found = [path for path in all_of(project.resolve()) if path.name.startswith(run_id)]
    if len(found) != 1 or not run_id:
        names = ", ".join(path.name for path in (found or all_of(project))[:NAMED_FILES])
        raise PipelineError(
            f"{len(found)} runs in {project / '.runs'} start with {run_id!r}: name one of"
            f" {names or 'none, there is no run yet'}"
        )
    return _read(found[0])


def purpose(path: Path) -> Purpose:
    """What the workspace `path` is for."""
    return _read(path).purpose


def _commit(project: Path, dirty: bool, ref: str | None) -> str | None:
    """The commit to copy; None if there is none yet, which only `dirty` allows."""
    head = git.commit(project)
    if ref:
        return git.resolve(project, ref)
    if not dirty:
        _refuse_uncommitted(project, head)
    return head


def _refuse_uncommitted(project: Path, head: str | None) -> None:
    if head is None:
        raise PipelineError(
            f"{project} has no commit yet: commit the project, or run it as it is with --dirty"
        )
    if changed := git.changes(project):
        more = len(changed) - NAMED_FILES
        named = ", ".join(changed[:NAMED_FILES]) + (f" and {more} more" if more > 0 else "")
        raise PipelineError(
            f"Uncommitted changes in {named}: commit them, or run them as they are with --dirty"
        )


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[Path]:
    """Gives a folder that is renamed to `path` at the end, or deleted after an error."""
    partial = path.with_name(f".{path.name}.partial")
    partial.parent.mkdir(exist_ok=True)
    # A lock on the folder itself, shared by all calls of `create`; the kernel frees it.
    lock = os.open(partial.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    partial.mkdir()
    try:
        yield partial
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _read(path: Path) -> Workspace:
    return Workspace(path=path, **json.loads((path / RECORD).read_text(encoding="utf-8")))


def _record(made: Workspace) -> bytes:
    """What `find` reads: all fields but the path and the parameters, which the folder has."""
    fields = {key: value for key, value in vars(made).items() if key not in ("path", "merged")}
    return json.dumps(fields, ensure_ascii=False).encode()


def _copy(files: list[Path], project: Path, folder: Path) -> None:
    for file in files:
        copy = folder / file.relative_to(project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy, follow_symlinks=False)
