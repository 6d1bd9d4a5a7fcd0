"""`run` on the command line."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pipelines.cli.options import PARAMS
from pipelines.errors import PipelineError


def add(commands: Any) -> None:
    """Adds the subcommand."""
    run = commands.add_parser(
        "run",
        parents=[PARAMS],
        help="run all stages, log to MLflow, register the model",
        description="Runs the stages of dvc.yaml in a workspace of its own below .runs, logs them"
        " to one MLflow run and registers the model. What DVC has already is not run again; where"
        " a finished run had the same source, code, parameters and image, there is nothing to do."
        " MLFLOW_TRACKING_URI and PREFECT_API_URL are honoured; unset, all stays beside the"
        " project (mlflow.db, mlartifacts, .runs).",
    )
    run.add_argument(
        "--dirty",
        action="store_true",
        help="run the working tree as it is, with uncommitted changes, and record them as a diff",
    )
    run.add_argument(
        "--force",
        action="store_true",
        help="run although a finished run had the same source, code, parameters and image",
    )
    run.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pipelines.flows import local_server
    from pipelines.workspaces import workspace

    project = Path.cwd()
    workspace.require_project(project)
    wait = local_server.start(project)
    import httpx

    from pipelines.cli import run_summary
    from pipelines.errors import NothingToDo
    from pipelines.flows.train import Outcome, msra_ner
    from pipelines.tracking import connection
    from pipelines.tracking.connection import Need

    # The flow does so too; here MLflow makes its database while Prefect's server starts.
    connection.check(project, Need.LOG)
    wait()
    given = (arguments.params, arguments.dirty, project, arguments.force)
    try:
        state = msra_ner(*given, return_state=True)
    except httpx.HTTPError as error:
        raise PipelineError(
            f"Prefect's server at {local_server.configured()} went away during the run ({error}):"
            " mend that and run again; what is done is kept"
        ) from None
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, NothingToDo):
        print(f"{outcome}; --force runs all the same")
        return 0
    if not isinstance(outcome, Outcome):
        print(state.message, file=sys.stderr)
        return 1
    run_summary.show(outcome, project, arguments.params)
    return 0
