"""Checks that the project's own mlflow.db and mlartifacts belong together and to the project.

MLflow stores absolute addresses, which a moved or copied project takes along.
"""

import fcntl
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipelines.errors import PipelineError
from pipelines.registry.aliases import is_not_found
from pipelines.workspaces import empty_tables

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
# The columns with addresses of artifacts (MLflow 3.17).
ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def artifacts_uri(project: Path) -> str:
    """The address of the project's artifacts."""
    return (project / ARTIFACTS).resolve().as_uri()


def follow_project(project: Path) -> None:
    """Lets the database name the artifacts of this project if it names those of another place.

    It is then of a project that was moved or copied here with its artifacts.

    Raises:
        PipelineError: if the database cannot be read or changed.
    """
    path, here = project / DATABASE, artifacts_uri(project)
    if not path.is_file() or path.stat().st_size == 0 or not (project / ARTIFACTS).is_dir():
        return
    try:
        with closing(sqlite3.connect(path)) as database:
            there = _location(database)
            if there is None or there == here:
                return
            with database:
                for table, columns in ADDRESSES.items():
                    for column in columns:
                        _replace(database, table, column, there, here)
    except sqlite3.Error as error:
        raise PipelineError(
            f"{path} cannot be used ({error}): restore it from a backup, or make it writable"
        ) from None
    print(f"The project was at {there}: MLflow's addresses now name {here}", file=sys.stderr)


@contextmanager
def one_at_a_time(project: Path) -> Iterator[None]:
    """Lets one process at a time open the database: two that make its tables would both fail."""
    folder = project / ".runs"
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / "mlflow.lock").open("w")
    except OSError:  # in a read-only project the tables are there, or cannot be made
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def tables(project: Path) -> Iterator[None]:
    """A new database gets the environment's tables, or what is made inside becomes these."""
    path = project / DATABASE
    if path.exists():
        yield
        return
    empty_tables.copy(path, "mlflow", project / ".runs")
    yield
    # MLflow makes the default experiment again, with an address in this project.
    empty_tables.keep(path, "mlflow", without=["experiments"])


def require_known(client: MlflowClient, project: Path) -> None:
    """Checks that the database knows each model in the project's artifacts.

    Otherwise it is not the database that these models were registered in, and what they need is
    unknown.

    Raises:
        PipelineError: naming one that it does not know.
    """
    unknown = [path for path in _models(project) if not _knows(client, path)]
    if unknown:
        raise PipelineError(
            f"{project / DATABASE} knows nothing of {len(unknown)} models in"
            f" {project / ARTIFACTS}, such as {unknown[0].parents[1].name}: restore it from a"
            " backup, or delete their folders if nobody needs them. Nothing was deleted"
        )


def require_database(project: Path) -> None:
    """Raises a PipelineError if there are models and no database that could know them."""
    path = project / DATABASE
    if any(_models(project)) and (not path.is_file() or path.stat().st_size == 0):
        raise PipelineError(
            f"{path} is {'empty' if path.is_file() else 'missing'}, and {project / ARTIFACTS} has"
            " models: restore it from a backup, or move that folder away to begin anew"
        )


def holds(project: Path, run: Run) -> bool:
    """Whether the files of the run are among the project's own artifacts."""
    return str(run.info.artifact_uri).startswith(f"{artifacts_uri(project)}/")


def _location(database: sqlite3.Connection) -> str | None:
    # Of any model's experiment: `follow_project` has kept them all at one place.
    wanted = (
        "SELECT artifact_location FROM experiments WHERE artifact_location LIKE ?"
        " ORDER BY experiment_id LIMIT 1"
    )
    tables = "SELECT name FROM sqlite_master WHERE name = 'experiments'"
    if database.execute(tables).fetchone() is None:
        return None
    row = database.execute(wanted, (f"file:%/{ARTIFACTS}",)).fetchone()
    return str(row[0]) if row else None


def _replace(database: sqlite3.Connection, table: str, column: str, there: str, here: str) -> None:
    # The names are those of ADDRESSES.
    database.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608
        f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (here, len(there) + 1, there, len(there) + 1, f"{there}/"),
    )


def _models(project: Path) -> list[Path]:
    return sorted((project / ARTIFACTS / "models").glob("*/artifacts/MLmodel"))


def _knows(client: MlflowClient, path: Path) -> bool:
    try:
        run_id = yaml.safe_load(path.read_text(encoding="utf-8"))["run_id"]
        client.get_run(run_id)
    except MlflowException as error:
        if not is_not_found(error):
            raise
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        pass
    else:
        return True
    try:
        client.get_logged_model(path.parents[1].name)
    except MlflowException as error:
        if not is_not_found(error):
            raise
        return False
    return True
