"""A run's own copy of the project, so that the user's tree is never written."""

import fcntl
import json
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.workspaces import git
from pipelines.workspaces.overlays import Values, merge
from stages.contract.hashing import sha256

NAMED_FILES = 10
RECORD = ".run.json"


@dataclass(frozen=True)
class Workspace:
    """A run's own copy of the project.

    Attributes:
        path: The folder, `.runs/RUN_ID` below the project.
        run_id: UTC time and six random hex digits.
        commit: That the files are of; None if the repository has none yet.
        dirty_diff: How they differ from it; empty if they don't.
        params_sha256: Of its params.yaml, overlays merged.
        prefect_run_id: Of the flow run that it was made for.
        prefect_url: Of that flow run's page, where a server that has pages ran it.
    """

    path: Path
    run_id: str
    commit: str | None
    dirty_diff: str
    params_sha256: str
    prefect_run_id: str | None = None
    prefect_url: str | None = None


def create(
    project: Path,
    overlays: list[Path],
    dirty: bool,
    ref: str | None = None,
    overrides: Values | None = None,
    prefect_run_id: str | None = None,
    prefect_url: str | None = None,
    exact: Path | None = None,
) -> Workspace:
    """Copies the files of HEAD, or with `dirty` those of the working tree, to `.runs/RUN_ID`.

    With `ref`, a branch, tag or commit that is fetched first, it is that one's files, and the
    working tree may hold what it will. The overlays, and `overrides` as the last one, are merged
    over params.yaml in turn and checked. With `exact`, a folder, its params.yaml is taken as it is
    instead, unchecked, and no dvc.lock. The workspace shares the project's DVC cache. Either it is
    whole or nothing is left.

    Raises:
        PipelineError: if the project is in no repository, has uncommitted changes and `dirty` is
            false, or its parameters are not valid.
    """
    project = project.resolve()
    require_project(project)
    head = git.commit(project)
    if ref:
        head = git.resolve(project, ref)
    elif not dirty:
        _refuse_uncommitted(project, head)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    path = project / ".runs" / run_id
    partial = path.with_name(f".{run_id}.partial")
    partial.parent.mkdir(exist_ok=True)
    # Of the folder itself, shared by all that create, and gone with the process however that ends.
    lock = os.open(partial.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    partial.mkdir()
    try:
        if dirty or head is None:
            _copy(git.files(project), project, partial)
        else:
            git.check_out(project, head, partial, partial.with_suffix(".index"))
        if exact:
            (partial / "dvc.lock").unlink(missing_ok=True)
            shutil.copyfile(exact / "params.yaml", partial / "params.yaml")
        else:
            if (project / "dvc.lock").is_file() and not (partial / "dvc.lock").exists():
                shutil.copy2(project / "dvc.lock", partial)
            merge(overlays, partial / "params.yaml", overrides)
        _share_cache(project, partial, path)
        params_sha256 = sha256(partial / "params.yaml")
        dirty_diff = git.diff(project, head) if dirty else ""
        by = (prefect_run_id, prefect_url)
        made = Workspace(path, run_id, head, dirty_diff, params_sha256, *by)
        record = {key: value for key, value in asdict(made).items() if key != "path"}
        (partial / RECORD).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    return made


def sweep(project: Path) -> None:
    """Deletes what killed calls of `create` left, unless another call is under way."""
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
    """The workspace with this id, or the only one whose id begins so.

    Raises:
        PipelineError: if there is none, or more than one.
    """
    found = [path for path in all_of(project.resolve()) if path.name.startswith(run_id)]
    if len(found) != 1 or not run_id:
        names = ", ".join(path.name for path in (found or all_of(project))[:NAMED_FILES])
        raise PipelineError(
            f"{len(found)} runs in {project / '.runs'} begin with {run_id!r}: name one of"
            f" {names or 'none, there is no run yet'}"
        )
    record = json.loads((found[0] / RECORD).read_text(encoding="utf-8"))
    return Workspace(path=found[0], **record)


def require_project(folder: Path) -> None:
    """Raises a PipelineError if `folder` is not one that a workspace can be made of."""
    for name in ("dvc.yaml", "params.yaml", ".dvc"):
        if not (folder / name).exists():
            raise PipelineError(f"{folder} has no {name}: run from the project's own folder")


def _refuse_uncommitted(project: Path, head: str | None) -> None:
    if head is None:
        raise PipelineError(
            f"{project} has no commit yet: commit the project, or run it as it is with --dirty"
        )
    changed = git.changes(project)
    if changed:
        more = len(changed) - NAMED_FILES
        named = ", ".join(changed[:NAMED_FILES]) + (f" and {more} more" if more > 0 else "")
        raise PipelineError(
            f"Uncommitted changes in {named}: commit them, or run them as they are with --dirty"
        )


def _copy(files: list[Path], project: Path, folder: Path) -> None:
    for file in files:
        copy = folder / file.relative_to(project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy, follow_symlinks=False)


def _share_cache(project: Path, partial: Path, path: Path) -> None:
    """Writes .dvc/config.local: the project's settings with paths resolved, and what a copy needs.

    By way of `Config`: opening a `Repo` would write into the user's .dvc.
    """
    # Not at the top: `doctor` reads this module where DVC is not, in the image of the stages.
    from dvc.config import Config, ConfigError, merge

    try:
        theirs = Config(str(project / ".dvc"))
        cache = theirs.read()["cache"]
        (partial / ".dvc").mkdir(exist_ok=True)
        with Config(str(partial / ".dvc")).edit("local") as ours:
            for level in theirs.REPO_LEVELS:
                merge(ours, theirs.read(level))
            ours["core"]["no_scm"] = True
            # DVC's notes on this workspace go with it, instead of piling up in /var/cache or $HOME.
            ours["core"]["site_cache_dir"] = str(path / ".dvc" / "tmp")
            if "local" not in cache:
                ours["cache"]["dir"] = os.fspath(cache.get("dir", project / ".dvc" / "cache"))
            ours["cache"].setdefault("type", cache.get("type", "reflink,hardlink,copy"))
        (partial / ".dvc" / "config.local").chmod(0o600)  # a remote's key may be in it
    except ConfigError as error:
        raise PipelineError(f"DVC's configuration: {error}") from None
