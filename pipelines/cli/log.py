"""The command `log`."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    log = commands.add_parser(
        "log",
        help="log a run whose stages are done but that MLflow did not take",
        description="Logs to MLflow what the stages of a run wrote, and registers the model, as"
        " `run` would have done. What is logged already is not logged again.",
    )
    log.add_argument("run", metavar="RUN", help="the folder's name in .runs, or its beginning")
    log.set_defaults(command=_log)


def _log(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance import resume_logging

    logged = resume_logging.log(Path.cwd(), arguments.run)
    print(f"Run {logged.run_id} in MLflow, version {logged.version} of the model")
    return 0
