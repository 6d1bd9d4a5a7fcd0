"""The command `setup`."""

from typing import Annotated

import typer

from pipelines.cli.command import Answer, command


@command("setup", "setup --notify FILE", "setup --notify off", "setup --retrain-on-shift")
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
    notify: Annotated[
        str | None,
        typer.Option(
            "--notify",
            metavar="FILE|env:NAME|off",
            help="Notify of failed and crashed runs, promotions, and shifts that `watch` finds, at"
            " the address in this file or variable: a webhook, mail, or another that Apprise knows;"
            " `off` deletes that again; default: leave it.",
        ),
    ] = None,
    retrain_on_shift: Annotated[
        bool | None,
        typer.Option(
            "--retrain-on-shift/--no-retrain-on-shift",
            help="Start `retrain` when `watch` finds that the text that is served shifted, or no"
            " longer; default: leave it.",
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
    if notify is not None:
        from pipelines.flows import notifications

        lines += notifications.setup(notify)
    if retrain_on_shift is not None:
        from pipelines.flows.nightly import retrain_on_shift as shifts

        lines.append(shifts.setup(retrain_on_shift))
    return Answer({"done": lines}, lambda: print(*lines, sep="\n"))
