"""Logs a run whose stages are done but which MLflow did not accept."""

from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.names import Logged
from pipelines.tracking import connection, run_log, unfinished
from pipelines.tracking.connection import Need
from pipelines.workspaces import merging, run_state, workspace


def log(project: Path, run_id: str) -> Logged:
    """Logs the run that `workspace.find` returns for `run_id`, and marks it as complete.

    Raises:
        PipelineError: if there is no such run, a stage is not done, or MLflow refuses.
    """
    run_state.sweep(project)
    made = workspace.find(project, run_id)
    run_state.require_done(made.path)
    connected = connection.check(project, Need.LOG, model=merging.model_name(made.path))
    unfinished.sweep(project)
    try:
        logged = run_log.log_run(connected, made)
    except connection.FAILURES as error:
        raise PipelineError(
            f"MLflow did not accept {made.run_id} ({connection.said(error)}): fix this, then try"
            " again"
        ) from None
    run_state.mark(made.path, "complete")
    return logged
