"""Keeps a database that has nothing but tables, for the next project of this environment.

To make them takes Prefect 8 CPU seconds and MLflow one, and more on a slow disk.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Collection
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.names import OURS


def copy(database: Path, package: str, scratch: Path) -> None:
    """Copies those of `package`, if they were kept; `scratch` is a folder on the same disk."""
    part = scratch / f"{database.name}.part"
    with suppress(OSError):
        shutil.copyfile(kept(package), part)
        part.replace(database)


def keep(database: Path, package: str, without: Collection[str] = ()) -> None:
    """Keeps the tables of a database that is new, those in `without` empty."""
    file = kept(package)
    # A setting of Prefect may have it elsewhere.
    if file.exists() or not database.exists() or not os.access(sys.prefix, os.W_OK):
        return
    with suppress(OSError, sqlite3.Error):
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=file.parent) as folder:
            copied = Path(folder, database.name)
            # Not a copy of the file: a server may have its tables in the write-ahead log.
            with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(copied)) as new:
                old.backup(new)
                for table in without:
                    new.execute(f"DELETE FROM {table}")  # noqa: S608
                new.commit()
            copied.replace(file)


def kept(package: str) -> Path:
    """Where this environment keeps the tables of `package` in the installed version."""
    return Path(sys.prefix, "share", OURS, f"{package}-{version(package)}.db")
