"""Folders whose names mean something else to a library, and how a path becomes an address."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from pipelines.errors import PipelineError

# What each library takes for something else, and does not let itself be told otherwise.
DVC = {
    r"\$\w|\$\{": "the cache that DVC uses (diskcache) replaces by a variable",
    r"%\([^)]*\)s": "DVC's configuration (ConfigObj) replaces by a setting",
}
MLFLOW = {r"%[0-9A-Fa-f]{2}": "MLflow decodes as in a URL, and then finds no model"}


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
