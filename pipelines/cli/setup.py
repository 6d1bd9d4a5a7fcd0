"""The command `setup`."""

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    setup = commands.add_parser(
        "setup",
        help="create what the deployments need on the Prefect server",
        description="Creates the work pool, the GPU slot and the automation that marks runs of dead"
        " workers as crashed, on the server that Prefect's settings name (PREFECT_API_URL)."
        " Running it again changes only what differs.",
    )
    setup.add_argument(
        "--heartbeat-s",
        metavar="N",
        type=int,
        help="seconds between the heartbeats of a run, at least 30; a run that misses three counts"
        " as crashed; default: those of the work pool, 60 at first",
    )
    setup.set_defaults(command=_setup)


def _setup(arguments: argparse.Namespace) -> int:
    from pipelines.flows import local_server

    local_server.require()
    from pipelines.flows.provision import setup

    for line in setup(arguments.heartbeat_s):
        print(line)
    return 0
