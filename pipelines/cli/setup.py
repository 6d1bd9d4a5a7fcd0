"""The command `setup`."""

from typing import Annotated

import typer

from pipelines.cli.command import Answer, command


@command("setup", "setup --heartbeat-s 60")
def setup(
    heartbeat_s: Annotated[
        int | None,
        typer.Option(
            "--heartbeat-s",
            metavar="N",
            help="Seconds between the heartbeats of a run, at least 30; a run that misses three"
            " counts as crashed; default: those of the work pool, 60 at first.",
        ),
    ] = None,
) -> Answer:
    """Creates what the deployments need on the Prefect server.

    Creates the work pool, the GPU slot and the automation that marks runs of dead workers as
    crashed, on the server that Prefect's settings name (PREFECT_API_URL). Running it again changes
    only what differs.
    """
    from pipelines.flows import local_server

    local_server.require()
    from pipelines.flows.provision import setup

    lines = setup(heartbeat_s)
    return Answer({"done": lines}, lambda: print(*lines, sep="\n"))
