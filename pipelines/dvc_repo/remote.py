"""The default DVC remote of a project."""

import shlex
import sys
import threading
from pathlib import Path

from dvc.config import Config

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.workspaces import process_group, redaction

LAST_LINES = 3


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
    command = [sys.executable, "-m", "dvc", "push", "--run-cache"]  # --quiet would hide errors
    process = process_group.start(command, path, dvc_stages.environment(remotes=True))
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
        lines = [f"stopped after {timeout_s:g} s, run.stage_timeout_s of push in params.yaml"]
    errors = [line for line in lines if line.startswith("ERROR:")] or [*filter(None, lines)]
    words = redaction.redactor()(" ".join(errors[-LAST_LINES:]))
    words = words or f"exit code {process.returncode}"
    return (
        f"The outs were not pushed to the DVC remote {default} ({words}); nothing is lost, they are"
        " in the cache. Fix the remote, then run"
        f" `cd {shlex.quote(str(path))} && dvc push --run-cache`"
    )
