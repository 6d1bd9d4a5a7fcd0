"""`setup` on the command line."""

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    setup = commands.add_parser(
        "setup",
        help="make what the deployments need on the Prefect server",
        description="Makes the work pool, the one GPU slot and the automation that marks runs of"
        " dead workers as crashed, on the server that PREFECT_API_URL or the Prefect profile names."
        " Again, it changes only what differs.",
    )
    setup.add_argument(
        "--heartbeat-s",
        metavar="N",
        type=int,
        default=60,
        help="seconds between the signs of life of a run, 30 at least; after three that are missed"
        " it counts as crashed; default %(default)s",
    )
    setup.set_defaults(command=_setup)


def _setup(arguments: argparse.Namespace) -> int:
    from pipelines.flows import local_server

    local_server.require()
    from pipelines.flows.provision import setup

    for line in setup(arguments.heartbeat_s):
        print(line)
    return 0
