"""The default DVC remote of a project."""

import os
import shlex
import sys
import threading
from pathlib import Path

from dvc.config import Config

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.workspaces import process_group, redaction

LAST_LINES = 3
ROOT = Path(__file__).parents[2]


def name(path: Path) -> str | None:
    """The name of the default DVC remote of the workspace `path`; None if none is set."""
    found: str | None = Config(str(path / ".dvc")).read().get("core", {}).get("remote")
    return found


def push(path: Path, timeout_s: float | None = None) -> str | None:
    """Pushes the outs and the run cache of the workspace `path` to the default DVC remote.

    Returns:
        A sentence if the push failed, or was stopped after `timeout_s` seconds; None if it
        succeeded or no default remote is set.
    """
    default = name(path)
    if default is None:
        return None
    # --quiet would hide errors
    words = _failure(path, "push", ["-m", "dvc", "push", "--run-cache"], timeout_s)
    return words and (
        f"The outs were not pushed to the DVC remote {default} ({words}); nothing is lost, they are"
        " in the cache. Fix the remote, then run"
        f" `cd {shlex.quote(str(path))} && dvc push --run-cache`"
    )


def pull(path: Path, timeout_s: float | None = None) -> str | None:
    """Pulls what another machine's run of the same stages left in the default DVC remote.

    The next `dvc repro` in the workspace `path` then takes it from the cache.

    Returns:
        A sentence if that failed, or was stopped after `timeout_s` seconds; else None.
    """
    default = name(path)
    if default is None:
        return None
    # -P: the workspace has a package `pipelines` too, of the commit that runs.
    words = _failure(path, "pull", ["-P", "-m", "pipelines.dvc_repo.pulling"], timeout_s)
    return words and (
        f"Not all that the DVC remote {default} may have was pulled ({words}): stages run that"
        " another machine has run already"
    )


def _failure(path: Path, what: str, arguments: list[str], timeout_s: float | None) -> str | None:
    """Runs Python in the workspace with the remotes' keys; the last words of a failure."""
    env = dvc_stages.environment(remotes=True)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    process = process_group.start([sys.executable, *arguments], path, env)
    try:
        with process_group.ended_by(process, timeout_s, threading.Event()) as why:
            lines = [line.strip() for line in process.stdout or ()]
            process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()
    if process.returncode == 0:
        return None
    if why:
        lines = [f"stopped after {timeout_s:g} s, run.stage_timeout_s of {what} in params.yaml"]
    errors = [line for line in lines if line.startswith("ERROR:")] or [*filter(None, lines)]
    words = redaction.redactor()(" ".join(errors[-LAST_LINES:]))
    return words or f"exit code {process.returncode}"
