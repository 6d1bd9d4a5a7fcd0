"""The DVC cache of a project: its files, whether they are whole, and those not needed deleted."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.gc import gc
from dvc_data.hashfile.hash_info import HashInfo

from pipelines.errors import PipelineError
from pipelines.workspaces import run_state

# DVC renames these once they are whole: links that it tries, files, entries of the run cache.
HALF = ("files/md5/.*.tmp", "files/md5/*/.*.tmp", "runs/*/*/.*.tmp")


def cached(project: Path, md5: str) -> Path:
    """The file with that MD5 in the project's DVC cache, from the default remote if it must be.

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
            raise PipelineError(f"{path} is not there, and DVC says: {words}") from None
    if not path.is_file():
        raise PipelineError(f"{path} is not there, nor has DVC's remote that file")
    return path


def require_within(project: Path) -> None:
    """Looks at the list of each folder in the cache, which say where DVC would write files.

    DVC 3.67 does not: one that names `../x` would be written beside the workspace.

    Raises:
        PipelineError: if one leads out of its folder, or cannot be read.
    """
    for path in sorted(_folder(project).glob("files/md5/*/*.dir")):
        try:
            names = [PurePosixPath(file["relpath"]) for file in json.loads(path.read_bytes())]
        except (ValueError, LookupError, TypeError):
            raise PipelineError(
                f"{path} is no list of DVC's: delete it, and what it was is made anew"
            ) from None
        out = [name for name in names if name.is_absolute() or ".." in name.parts]
        if out:
            raise PipelineError(
                f"{path} would write {out[0]} outside of its folder, so somebody changed it: delete"
                " it, and find out who can write this DVC cache or its remote"
            )


def require_whole(project: Path, md5: str) -> None:
    """Makes sure that the cache has a folder, and every file of it, just as the hash says.

    Raises:
        PipelineError: if one is another; or is neither there nor in the remote.
    """
    path = cached(project, md5)
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5.removesuffix(".dir"):
        raise PipelineError(f"{path} is not what it was, its MD5 is {found}: restore DVC's cache")
    if md5.endswith(".dir"):
        for file in json.loads(path.read_bytes()):
            require_whole(project, file["md5"])


def sweep(project: Path) -> None:
    """Deletes what killed commands of DVC left half written, unless a run or DVC is at work.

    A cache outside the project is left alone: others may be writing there.
    """
    folder = _folder(project)
    if not _within(folder, project) or not _half(folder):
        return
    with run_state.none_running(project) as alone, suppress(DvcException):
        if alone:
            with Repo(str(project)) as repo, repo.lock:
                _delete_half(folder)


def prune(project: Path, locks: Iterable[Path], dry_run: bool) -> int:
    """Deletes the objects that neither `locks` nor the project's own files name.

    Those are its working tree and the heads of its branches and tags, .dvc files and all. Entries
    of the run cache whose outs are gone go with them. To be called while nothing is running.

    Returns:
        How many objects are deleted, or would be.

    Raises:
        PipelineError: if the cache is outside the project, so that others may use it, or DVC cannot
            read the project's files of some commit.
    """
    logging.getLogger("dvc").setLevel(logging.ERROR)  # it warns of each out that has not run
    try:
        with Repo(str(project)) as repo:
            cache = Path(repo.cache.local_cache_dir)
            if not _within(cache, project):
                raise PipelineError(
                    f"the DVC cache {cache} is outside the project and may serve others: see"
                    " `dvc gc --projects`"
                )
            with repo.lock:
                kept = {"all_branches": True, "all_tags": True, "all_experiments": True}
                queued = list(repo.experiments.stash_revs)
                own = repo.used_objs(revs=queued, force=True, **kept).values()
                used = {info for infos in own for info in infos}
                used |= {HashInfo("md5", md5) for lock in locks for md5 in objects(lock, cache)}
                odbs = {id(odb): odb for _, odb in repo.cache.by_scheme() if odb}
                removed = sum(int(gc(odb, used, dry=dry_run)) for odb in odbs.values())
                if not dry_run:
                    _delete_half(cache)
                    _prune_run_cache(cache)
    except DvcException as error:
        raise PipelineError(
            f"DVC: {' '.join(f'{error} {error.__cause__ or str()}'.split())}"
        ) from None
    return removed


def objects(lock: Path, cache: Path) -> Iterator[str]:
    """The hash of everything that the stages of a dvc.lock read and wrote, folders' files too."""
    stages = _load(lock).get("stages") or {}
    for entry in (e for stage in stages.values() for e in _entries(stage)):
        if md5 := entry.get("md5"):
            yield md5
            listing = _path(cache, md5)
            if md5.endswith(".dir") and listing.is_file():
                yield from (file["md5"] for file in json.loads(listing.read_text()))


def _folder(project: Path) -> Path:
    found = Config(str(project / ".dvc")).read()["cache"]
    return Path(found.get("dir", project / ".dvc" / "cache"))


def _within(cache: Path, project: Path) -> bool:
    return cache.resolve().is_relative_to(project.resolve())


def _half(cache: Path) -> list[Path]:
    return [path for pattern in HALF for path in cache.glob(pattern)]


def _delete_half(cache: Path) -> None:
    for path in _half(cache):
        path.unlink(missing_ok=True)


def _entries(stage: Any) -> list[dict[str, Any]]:
    return [*(stage.get("deps") or ()), *(stage.get("outs") or ())]


def _path(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _prune_run_cache(cache: Path) -> None:
    """DVC would run such a stage again, and `dvc push --run-cache` fail on what is gone."""
    for entry in (cache / "runs").glob("*/*/*"):
        outs = _load(entry).get("outs") or ()
        if not all(_path(cache, out["md5"]).is_file() for out in outs if "md5" in out):
            entry.unlink()
            for folder in entry.parents[:2]:
                if not any(folder.iterdir()):
                    folder.rmdir()
