"""The command line: `python -m pipelines`.

A subcommand imports what it needs in its function, so that --help is quick.
"""

import argparse
import os
import signal
import sys

from pipelines.cli import bring, doctor, gc, log, predict, promote, rebuild, run, setup
from pipelines.errors import PipelineError
from pipelines.prediction import stages_contract


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand in the current folder; returns its exit code."""
    stages_contract.load("terminal").accept_any_text()
    arguments = _parser().parse_args(argv)
    # Turns off the telemetry of MLflow and Prefect.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Unwinds like Ctrl-C; Prefect passes the signal on to this after the flow has seen it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return int(arguments.command(arguments))
    except (PipelineError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; no process of the run is left", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="Chinese named-entity recognition, from raw text to a registered model.",
        epilog="Run it in the folder with dvc.yaml and params.yaml.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run.add(commands)
    log.add(commands)
    bring.add(commands)
    gc.add(commands)
    predict.add(commands)
    promote.add(commands)
    rebuild.add(commands)
    doctor.add(commands)
    setup.add(commands)
    return parser
