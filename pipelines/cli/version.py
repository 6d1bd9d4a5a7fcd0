"""The option --version."""

import tomllib

import typer

from pipelines.cli.folders import CODE, LAUNCHER
from pipelines.errors import PipelineError


def print_version(asked: bool) -> None:
    """Prints name, version and commit of this code, and ends the command line."""
    if asked:
        text = (CODE / "pyproject.toml").read_text(encoding="utf-8")
        commit = _commit()
        about = f" (commit {commit})" if commit else ""
        print(f"{LAUNCHER} {tomllib.loads(text)['project']['version']}{about}")
        raise typer.Exit


def _commit() -> str | None:
    """None where the code is in no repository, or in one that has other files."""
    from pipelines.workspaces import git

    try:
        git.run(CODE, "ls-files", "--error-unmatch", "pyproject.toml")
        return git.run(CODE, "rev-parse", "--short=7", "HEAD").strip()
    except PipelineError:
        return None
