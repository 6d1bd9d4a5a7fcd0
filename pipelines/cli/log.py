"""The command `log`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.command import Answer, command


@command("log 20261124T1200")
def log(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The folder's name in .runs, or its beginning.")
    ],
) -> Answer:
    """Logs a run whose stages are done but that MLflow did not take.

    Logs to MLflow what the stages of a run wrote, and registers the model, as `run` would have
    done. What is logged already is not logged again.
    """
    from pipelines.maintenance import resume_logging

    logged = resume_logging.log(Path.cwd(), run)
    return Answer(
        vars(logged),
        lambda: print(f"Run {logged.run_id} in MLflow, version {logged.version} of the model"),
    )
