"""Finds the project, names paths from the user's own folder, and makes addresses of them."""

import os
import re
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import quote

from pipelines.errors import PipelineError

MARKS = ("dvc.yaml", "params.yaml")  # a folder with both is a project's
RUNS = ".runs"
CODE = Path(__file__).parents[2]  # the clone that this code belongs to
_users = ContextVar[Path]("the folder where the user stands")
# What each library takes for something else, and does not let itself be told otherwise.
DVC = {
    r"\$\w|\$\{": "the cache that DVC uses (diskcache) replaces by a variable",
    r"%\([^)]*\)s": "DVC's configuration (ConfigObj) replaces by a setting",
}
MLFLOW = {r"%[0-9A-Fa-f]{2}": "MLflow decodes as in a URL, and then finds no model"}


def find_project(folder: Path) -> Path | None:
    """The nearest project: `folder` or one above it, but no run's own copy of the project."""
    for place in (folder, *folder.parents):
        if all((place / name).is_file() for name in MARKS) and place.parent.name != RUNS:
            return place
    return None


@contextmanager
def in_project(anywhere: bool = False) -> Iterator[None]:
    """Makes the nearest project the current folder; with `anywhere` stays where there is none.

    Raises:
        PipelineError: if there is none.
    """
    here = Path.cwd()
    project = find_project(here) or (here if anywhere else None)
    if project is None:
        raise PipelineError(
            f"No project here: neither {here} nor a folder above it has {' and '.join(MARKS)}: cd"
            f" into a clone, such as {CODE}"
        )
    token = _users.set(here)
    try:
        with chdir(project):
            yield
    finally:
        _users.reset(token)


def given(path: Path) -> Path:
    """A path of the user's folder, absolute if that is not the project's.

    So it means the same in each message and in each command that a message names.
    """
    users = _users.get(Path.cwd())
    return path if users == Path.cwd() else users / path


def shown(path: str | Path) -> str:
    """A path of the project's folder as the user would type it where they stand."""
    users = _users.get(Path.cwd())
    return str(path) if users == Path.cwd() else os.path.relpath(path, users)


def require_project(folder: Path) -> None:
    """Raises a PipelineError if `folder` is no project's, or DVC cannot work in such a path."""
    for name in (*MARKS, ".dvc"):
        if not (folder / name).exists():
            raise PipelineError(f"{folder} has no {name}: run from the project's own folder")
    require(folder, DVC)


def require(folder: Path, unusable: dict[str, str]) -> None:
    """Raises a PipelineError if the path of `folder` has a part that a library cannot take."""
    path = str(folder.resolve())
    try:
        path.encode()
    except UnicodeEncodeError:
        raise PipelineError(f"The path {path!r} is not UTF-8: rename that folder") from None
    for pattern, why in unusable.items():
        if found := re.search(pattern, path):
            raise PipelineError(
                f"The path {path} has {found[0]!r}, which {why}: rename that folder"
            )


def require_writable(folder: Path) -> None:
    """Raises a PipelineError if this user cannot write in `folder`."""
    if not os.access(folder, os.W_OK):
        raise PipelineError(
            f"{folder} is read-only for this user: `predict` and `status` work there; to run,"
            " promote or clean up, make it writable, or clone the project to another folder"
        )


def sqlite(path: Path, driver: str = "pysqlite") -> str:
    """The address of an SQLite database as SQLAlchemy takes it."""
    if "?" not in str(path):
        return f"sqlite:///{path}" if driver == "pysqlite" else f"sqlite+{driver}:///{path}"
    # Options would begin at the first `?`; SQLite itself decodes the URI of a file. With the driver
    # named, MLflow makes no folder `file:`.
    return f"sqlite+{driver}:///file:{quote(str(path))}?uri=true"
