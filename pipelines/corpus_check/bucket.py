"""Lists and copies the files of a folder or a bucket, through DVC's file systems."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.section import expanded
from stages.fetching.file import on_disk

VERSION = ("size", "mtime", "ino", "ETag")  # what a file system has of these


@dataclass(frozen=True)
class Entry:
    """A file of a source.

    Attributes:
        name: Its path below the source.
        path: Its path for the file system.
        version: What differs if the file was changed.
        changed_s: When it was changed last, in seconds since 1970.
        special: Whether it is a pipe, a socket or the like, which may have no end.
    """

    name: str
    path: str
    version: tuple[Any, ...]
    changed_s: float
    special: bool


@dataclass(frozen=True)
class Listed:
    """A source and its files, by name."""

    entries: list[Entry]
    _system: Any

    def copy(self, entry: Entry, to: Path) -> bool:
        """Copies a file to `to`; returns whether it changed or went since it was listed.

        Raises:
            OSError: it cannot be read.
        """
        if entry.special:
            raise OSError("it is no regular file")
        try:
            self._system.fs.get_file(entry.path, str(to))
            self._system.fs.invalidate_cache()
        except FileNotFoundError:
            return True
        now = _entry(entry.name, entry.path, _info(self._system, entry.path))
        return now.version != entry.version or to.stat().st_size != entry.version[0]


def listed(project: Path, address: str) -> Listed:
    """The files of a source, without hidden ones.

    Args:
        project: To which a relative path belongs.
        address: A folder, or what DVC has a file system for, such as s3://BUCKET/PREFIX.

    Raises:
        PipelineError: it is not there, or cannot be listed.
    """
    where = f"download.growing.source {address}"
    try:
        place = expanded(address)
        folder = on_disk(place)
    except StageError as error:
        raise PipelineError(f"download.growing.source: {error}") from None
    if folder is not None and not (project / folder).is_dir():
        raise PipelineError(
            f"{where}: {(project / folder).absolute()} is not a folder; create it, or correct the"
            " path"
        )
    if place.lower().startswith(("http://", "https://")):
        raise PipelineError(
            f"{where} is a web address, which does not list its files; name a folder or a bucket"
            " (s3://BUCKET/PREFIX)"
        )
    try:
        return _listed(str((project / folder).absolute()) if folder is not None else place)
    except Exception as error:  # of any file system, and of its library
        words = " ".join(str(error).split()) or type(error).__name__
        raise PipelineError(
            f"{where} cannot be listed ({words}); check the address, the credentials (AWS_*) and"
            " that the server answers"
        ) from None


def _listed(place: str) -> Listed:
    from dvc.fs import parse_external_url  # 1 s

    system, root = parse_external_url(place)
    if "://" in place:
        found = system.fs.find(root, detail=True)  # with all that would need a request for each
    else:
        found = {path: _info(system, path) for path in system.fs.find(root)}
    if not found and not system.exists(root):
        raise FileNotFoundError(f"there is nothing at {root}")
    entries = []
    for path, info in sorted(found.items()):
        name = PurePosixPath(path).relative_to(root).as_posix()
        name = name.encode("utf-8", "backslashreplace").decode()  # a name that is not UTF-8
        if not path.endswith("/") and not any(part.startswith(".") for part in name.split("/")):
            entries.append(_entry(name, path, info))
    return Listed(entries, system)


def _info(system: Any, path: str) -> dict[str, Any]:
    try:
        return dict(system.fs.info(path))
    except FileNotFoundError:  # deleted meanwhile, or a link to nowhere
        return {}


def _entry(name: str, path: str, info: dict[str, Any]) -> Entry:
    changed = info.get("LastModified", info.get("mtime", 0.0))
    seconds = changed.timestamp() if isinstance(changed, datetime) else float(changed)
    version = tuple(info.get(key) for key in VERSION)
    return Entry(name, path, version, seconds, special=info.get("type") == "other")
