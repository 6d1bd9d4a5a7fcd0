"""The DVC cache of a project: finds, verifies and prunes its files."""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils import strictyaml
from dvc_data.hashfile.gc import gc
from dvc_data.hashfile.hash_info import HashInfo

from pipelines.errors import PipelineError
from pipelines.workspaces import run_state
from stages.contract import hashing

# DVC renames these when they are complete: test links, files, entries of the run cache.
PARTIAL = ("files/md5/.*.tmp", "files/md5/*/.*.tmp", "runs/*/*/.*.tmp")


def object_path(project: Path, md5: str) -> Path:
    """The file with this MD5 in the project's DVC cache, pulled from the default remote if needed.

    Raises:
        PipelineError: if neither has it.
    """
    path = _path(_folder(project), md5)
    if not path.is_file():
        try:
            with Repo(str(project)) as repo:
                repo.cloud.pull([HashInfo("md5", md5)])
        except DvcException as error:
            words = " ".join(str(error).split())
            raise PipelineError(f"{path} is missing, and DVC cannot pull it: {words}") from None
    if not path.is_file():
        raise PipelineError(f"{path} is missing, and the DVC remote does not have it")
    return path


def require_within(project: Path) -> None:
    """Checks that no folder in the cache has a file outside itself.

    DVC 3.67 does not check: a file `../x` would be written beside the workspace.

    Raises:
        PipelineError: if a path leaves its folder, or a file list cannot be read.
    """
    for path in sorted(_folder(project).glob("files/md5/*/*.dir")):
        try:
            names = [PurePosixPath(file["relpath"]) for file in json.loads(path.read_bytes())]
        except (ValueError, LookupError, TypeError):
            raise PipelineError(
                f"{path} is not a file list of DVC: delete it, and the next run makes it again"
            ) from None
        outside = [name for name in names if name.is_absolute() or ".." in name.parts]
        if outside:
            raise PipelineError(
                f"{path} would write {outside[0]} outside its folder, so it was tampered with:"
                " delete it, and find out who can write to this DVC cache or its remote"
            )


def require_whole(project: Path, md5: str) -> None:
    """Checks that the cache has a file, or a folder with all its files, and that each MD5 matches.

    DVC itself trusts a file that is read-only.

    Raises:
        PipelineError: if an MD5 differs, or a file is neither in the cache nor in the remote.
    """
    path = object_path(project, md5)
    found = hashing.md5(path)
    if found != md5.removesuffix(".dir"):
        raise PipelineError(f"{path} was changed, its MD5 is now {found}: restore the DVC cache")
    if md5.endswith(".dir"):
        for file in json.loads(path.read_bytes()):
            require_whole(project, file["md5"])


def sweep(project: Path) -> None:
    """Deletes files that killed DVC commands left incomplete, unless a run or DVC is active.

    It skips a cache outside the project, where others may be writing.
    """
    folder = _folder(project)
    if not _within(folder, project) or not _partial(folder):
        return
    with run_state.none_running(project) as alone, suppress(DvcException):
        if alone:
            with Repo(str(project)) as repo, repo.lock:
                _delete_partial(folder)


def mend_run_cache(project: Path) -> None:
    """Deletes empty folders of the run cache.

    A DVC that is killed after it made one leaves it, and DVC 3.67 then ends every run of that stage
    with `join() argument must be str, bytes, or os.PathLike object, not 'NoneType'`.
    """
    for folder in (_folder(project) / "runs").glob("*/*"):
        # DVC fills a new one at once; a cache that is read only stays as it is.
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > 1:
                folder.rmdir()


def prune(project: Path, locks: Iterable[Path], dry_run: bool) -> int:
    """Deletes the objects that neither `locks` nor the project itself needs.

    The project needs those of its working tree, the heads of its branches, its tags, and its
    `dvc exp` experiments, done or queued. Entries of the run cache are deleted with their outs.
    Call this while nothing is running.

    `Repo.gc(repos=...)` cannot replace it (DVC 3.67): it reads branches and experiments of each of
    `repos`, which fails in a workspace (`core.no_scm`); it takes no dvc.lock from MLflow; it
    returns no count; and it leaves the run cache as it is.

    Returns:
        The number of objects that were deleted, or with `dry_run` would be.

    Raises:
        PipelineError: if the cache is outside the project, where others may use it, or DVC cannot
            read the project at some commit, or one of `locks` is not whole.
    """
    logging.getLogger("dvc").setLevel(
        logging.ERROR
    )  # it warns about each out of a stage that has not run
    try:
        with Repo(str(project)) as repo:
            cache = Path(repo.cache.local_cache_dir)
            if not _within(cache, project):
                raise PipelineError(
                    f"the DVC cache {cache} is outside the project and others may use it: see"
                    " `dvc gc --projects`"
                )
            with repo.lock:
                kept = {"all_branches": True, "all_tags": True, "all_experiments": True}
                queued = list(repo.experiments.stash_revs)
                own = repo.used_objs(revs=queued, force=True, **kept).values()
                used = {info for infos in own for info in infos}
                used |= {HashInfo("md5", md5) for lock in locks for md5 in _objects(lock, cache)}
                odbs = {id(odb): odb for _, odb in repo.cache.by_scheme() if odb}
                removed = sum(int(gc(odb, used, dry=dry_run)) for odb in odbs.values())
                if not dry_run:
                    _delete_partial(cache)
                    _prune_run_cache(cache)
    except DvcException as error:
        raise PipelineError(
            f"DVC: {' '.join(f'{error} {error.__cause__ or str()}'.split())}"
        ) from None
    return removed


def _objects(lock: Path, cache: Path) -> Iterator[str]:
    """The MD5 of each dep and out in a dvc.lock, and of each file in a folder."""
    try:
        whole, _ = strictyaml.load(str(lock), COMPILED_LOCKFILE_SCHEMA)
    except DvcException:
        raise PipelineError(
            f"{lock} is not a whole dvc.lock: if DVC was killed while it wrote it, delete it"
        ) from None
    stages = whole.get("stages") or {}
    for entry in (e for stage in stages.values() for e in _entries(stage)):
        if md5 := entry.get("md5"):
            yield md5
            listing = _path(cache, md5)
            if md5.endswith(".dir") and listing.is_file():
                yield from (file["md5"] for file in json.loads(listing.read_bytes()))


def _folder(project: Path) -> Path:
    found = Config(str(project / ".dvc")).read()["cache"]
    return Path(found.get("dir", project / ".dvc" / "cache"))


def _within(cache: Path, project: Path) -> bool:
    return cache.resolve().is_relative_to(project.resolve())


def _partial(cache: Path) -> list[Path]:
    return [path for pattern in PARTIAL for path in cache.glob(pattern)]


def _delete_partial(cache: Path) -> None:
    for path in _partial(cache):
        path.unlink(missing_ok=True)


def _entries(stage: Any) -> list[dict[str, Any]]:
    return [*(stage.get("deps") or ()), *(stage.get("outs") or ())]


def _path(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _prune_run_cache(cache: Path) -> None:
    """Deletes entries without their outs: `dvc push --run-cache` would fail on them."""
    for entry in (cache / "runs").glob("*/*/*"):
        outs = _load(entry).get("outs") or ()
        if not all(_path(cache, out["md5"]).is_file() for out in outs if "md5" in out):
            entry.unlink()
            for folder in entry.parents[:2]:
                if not any(folder.iterdir()):
                    folder.rmdir()
