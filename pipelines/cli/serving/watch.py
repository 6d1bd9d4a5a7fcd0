"""The command `watch`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Params

if TYPE_CHECKING:
    from pipelines.watching.night import Night


@command("watch", "watch --since 2026-11-01", "watch --json")
def watch(
    params: Params,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            metavar="DATE",
            help="Read the log from here, UTC; default: last night's end.",
        ),
    ] = None,
) -> Answer:
    """Compares what was served with the test split, without labels.

    Reads the files of `serve --log-requests` in the folder `watch.folder` of params.yaml. Tells
    which of these has shifted: unknown characters, lengths, entities of each type, scores; and
    estimates F1 from the scores. Logs figures and a page with texts that show it to MLflow. If
    Prefect's settings name a server, it gets the event of a shift, once while the shift stays. The
    deployment `watch` does the same every night.
    """
    from pipelines.flows import local_server
    from pipelines.tracking import connection
    from pipelines.tracking.connection import Need
    from pipelines.watching import watch as watching
    from pipelines.workspaces import overlays, places

    folder = Path.cwd()
    places.require_project(folder)
    sections = overlays.sections(folder, params)
    if asked := local_server.configured():
        local_server.require()
        from pipelines.flows.nightly.watch import tell
    project = connection.check(folder, Need.LOG, model=sections.run.model)
    night = watching.watch(
        project,
        sections.watch,
        since and since.replace(tzinfo=since.tzinfo or UTC),
        tell if asked else lambda _: None,
    )
    return Answer(_fields(night), lambda: _show(night))


def _fields(night: "Night") -> dict[str, object]:
    return {
        "version": str(night.version.version),
        "texts": night.texts,
        "since": night.since.isoformat(),
        "until": night.until.isoformat(),
        "shifted": list(night.shifted),
        "news": list(night.news),
        "measures": {
            each.name: vars(each.most) | {"shifted": each.shifted} for each in night.shifts
        },
        "f1": vars(night.f1) if night.f1 else None,
        "page": night.page,
    }


def _show(night: "Night") -> None:
    print(night)
    for each in sorted(night.shifts, key=lambda each: -each.most.distance):
        verdict, most = "shifted" if each.shifted else "as test", each.most
        print(
            f"  {verdict}  {each.title}, above {most.at:.3g}: {most.test:.0%} of the test split,"
            f" {most.served:.0%} served"
        )
    if night.page:
        print(f"Page: {night.page}")
