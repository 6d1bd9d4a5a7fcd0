"""Takes a command into the project's folder, and names paths as the user's own folder has them."""

import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import typer

from pipelines.workspaces import places

CODE = Path(__file__).parents[2]
LAUNCHER = "msra-ner"  # bin/msra-ner, which says by what name it was called
LAUNCHED = Path(sys.argv[0]).name == LAUNCHER
PROGRAM = LAUNCHER if LAUNCHED else "python -m pipelines"
_users = ContextVar[Path]("the folder where the user stands")


@contextmanager
def in_project(anywhere: bool = False) -> Iterator[None]:
    """Makes the nearest project upwards the current folder, or with `anywhere` stays without one.

    Raises:
        PipelineError: if there is none.
    """
    here = Path.cwd()
    project = places.find_project(here) or (here if anywhere else None)
    if project is None:
        raise places.no_project(here, CODE)
    token = _users.set(here)
    try:
        with chdir(project):
            yield
    finally:
        _users.reset(token)


def given(value: Any) -> Any:
    """The value of an option: a path of the user's folder is absolute if that is not the project's.

    So it means the same in each message and in each command that a message names.

    Raises:
        typer.BadParameter: if an option stands where a file should.
    """
    if isinstance(value, list):
        return [given(each) for each in value]
    if not isinstance(value, Path):
        return value
    if str(value).startswith("--"):  # `run --params --dirty`
        raise typer.BadParameter(f"{value} is an option, not a file (which would be ./{value})")
    users = _users.get()
    return value if users == Path.cwd() else users / value


def shown(path: str | Path) -> str:
    """A path of the project's folder as the user would type it where they stand."""
    users = _users.get(Path.cwd())
    return str(path) if users == Path.cwd() else os.path.relpath(path, users)


def python_command() -> str:
    """The running interpreter, as the user would type it."""
    own = Path(".venv", "bin")
    if Path.cwd() / own == Path(sys.executable).parent:
        return shown(own / "python")
    return sys.executable if LAUNCHED else "python"


def program_command() -> str:
    """This command line, as the user would type it."""
    return sys.argv[0] if LAUNCHED else f"{python_command()} -m pipelines"
