"""Logs a run after it, where MLflow was away at its end."""

from pathlib import Path

from pipelines import access, state, tracking, workspace
from pipelines.access import Need
from pipelines.errors import PipelineError
from pipelines.tracking import Logged


def log(project: Path, run_id: str) -> Logged:
    """Logs the run that `workspace.find` gives for `run_id`, and marks it as complete.

    Raises:
        PipelineError: if there is no such run, its stages are not all done, or MLflow refuses.
    """
    state.sweep(project)
    made = workspace.find(project, run_id)
    state.require_done(made.path)
    tracking.check(project, Need.LOG)
    try:
        logged = tracking.log_run(project, made)
    except access.FAILURES as error:
        raise PipelineError(
            f"MLflow did not take {made.run_id} ({access.said(error)}): mend that"
        ) from None
    state.mark(made.path, "complete")
    return logged
