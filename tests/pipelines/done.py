"""Runs of the stand-in without Prefect, for the tests of what comes after a run."""

import subprocess
import sys
from pathlib import Path

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.tracking import connection, run_log
from pipelines.workspaces import run_state, workspace
from pipelines.workspaces.workspace import Workspace


def run(
    project: Path, rate: float | None = None, log: bool = True, model: str | None = None
) -> Workspace:
    """A workspace whose stages are all done, with train.learning_rate `rate`; logged or not.

    `model` is the name to register it by, if not that of params.yaml.
    """
    overlay = project.parent / f"{rate}.yaml"
    named = f"\nrun: {{model: {model}}}" if model else ""
    overlay.write_text(f"train: {{learning_rate: {rate}}}{named}")
    made = workspace.create(project, [overlay] if rate else [], dirty=True)
    with run_state.running(made.path):
        repro(made.path)
        if log:
            run_log.log_run(connection.check(project, model=made.params.run.model), made)
    return made


def repro(folder: Path, *arguments: str) -> str:
    """What `dvc repro` printed there."""
    return call(folder, "repro", *arguments)


def call(folder: Path, *arguments: str) -> str:
    """What `dvc` printed there."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=dvc_stages.environment(),
        check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout
