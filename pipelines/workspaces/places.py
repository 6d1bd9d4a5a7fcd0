"""Finds the project's folder, says which folders cannot be one, and makes addresses of paths."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from pipelines.errors import PipelineError

MARKS = ("dvc.yaml", "params.yaml")  # a folder with both is a project's
RUNS = ".runs"
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


def no_project(folder: Path, clone: Path) -> PipelineError:
    """The error that there is none; `clone` is one that the user can go to."""
    return PipelineError(
        f"No project here: neither {folder} nor a folder above it has {' and '.join(MARKS)}: cd"
        f" into a clone, such as {clone}"
    )


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
