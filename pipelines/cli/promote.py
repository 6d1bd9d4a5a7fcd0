"""The commands `promote`, `rollback`, `history` and `status`."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Named, Params, Reason
from pipelines.errors import Exit, PipelineError

if TYPE_CHECKING:
    from pipelines.registry.registry import Registry

CODES = {
    Exit.DONE: "done",
    Exit.ERROR: "another error, such as no such version",
    Exit.GATES: "a gate failed",
    Exit.FILES: "files of the version are missing",
    Exit.FIGURES: "the version lacks a figure or a slice that the gates need",
    Exit.ALREADY: "the version is already the champion",
    Exit.OTHER: "another promotion is running, or finished first",
    Exit.NO_PREVIOUS: "there is no previous champion to roll back to",
}


def _without(*codes: Exit) -> Mapping[int, str]:
    return {code: text for code, text in CODES.items() if code not in codes}


@command(
    "promote --dry-run",
    "promote --params samples/params.yaml",
    'promote 3 --force --reason "the gates lack the new label"',
    codes=_without(Exit.NO_PREVIOUS),
)
def promote(
    params: Params,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: the challenger.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Skip the gates; needs --reason, and is recorded in the history."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Evaluate the gates and compare; move no alias.")
    ] = False,
    reason: Reason = None,
) -> Answer:
    """Makes a version the champion if it passes the gates.

    Evaluates the gates in `promote` of params.yaml for the version, by default the challenger: f1,
    f1.TYPE, slice.NAME, calibration, not_worse, labels, parity, cuda, latency_p50, latency_p99, and
    shadow if it is set. If all pass, the version becomes the champion, and the champion becomes the
    previous one. Stores each verdict as a tag of the version, gate.NAME, and comparison.html in its
    MLflow run: the entities that only one of the two finds.
    """
    if force and dry_run:
        raise typer.BadParameter("not allowed with --dry-run", param_hint="--force")
    from pipelines.promotion.promote import promote
    from pipelines.workspaces import overlays, places

    project = Path.cwd()
    places.require_project(project)
    gates = overlays.sections(project, params).promote
    registry = _registry(project, params, promotes=True)
    done = promote(registry, project, gates, version, reason, force, dry_run)
    event = asdict(done.event) if done.event else None

    def show() -> None:
        for gate in done.gates:
            print(f"{gate.name}: {gate}")
        if done.comparison:
            print(f"Comparison: {done.comparison}")
        if event:
            _show_event(event)
        else:
            print("Passed all gates. Dry run: no alias was moved.")

    found = [gate.as_json() for gate in done.gates]
    return Answer({"event": event, "gates": found, "comparison": done.comparison}, show)


@command(
    'rollback --reason "false alarms in sports news"',
    codes=_without(Exit.GATES, Exit.FIGURES, Exit.ALREADY),
)
def rollback(params: Named, reason: Reason = None) -> Answer:
    """Makes the previous champion the champion again, without gates."""
    from pipelines.promotion.promote import rollback

    project = Path.cwd()
    event = asdict(rollback(_registry(project, params, promotes=True), project, reason))
    return Answer({"event": event}, lambda: _show_event(event))


@command("history", "history --json")
def history(params: Named) -> Answer:
    """Prints who promoted which version when, and why, oldest first."""
    from pipelines.cli import status_table
    from pipelines.registry import history

    registry = _registry(Path.cwd(), params)
    found = history.events(registry)
    fields = {"history": [asdict(event) for event in found]}
    return Answer(fields, lambda: status_table.show_history(registry.model, found))


@command("status", "status --json")
def status(params: Named) -> Answer:
    """Prints champion, challenger and previous, and what runs now."""
    from pipelines.cli import status_table
    from pipelines.tracking import unfinished

    registry = _registry(Path.cwd(), params)
    found = status_table.status(registry)
    running = unfinished.running(Path.cwd())

    def show() -> None:
        status_table.show_status(registry.model, found)
        for run in running:
            place = f", {run['page']}" if run["page"] else ""
            print(f"Running: {run['name']}, stage {run['stage']}, since {run['since']}{place}")

    return Answer({**found, "running": running}, show)


def _registry(project: Path, layers: list[Path], promotes: bool = False) -> "Registry":
    """The registered model; raises a PipelineError if no version is registered."""
    from pipelines.names import REGISTER_FIRST
    from pipelines.tracking import connection, unfinished
    from pipelines.tracking.connection import Need
    from pipelines.workspaces import merging

    model = merging.model_name(project, layers)
    none = PipelineError(f"No version of {model} is registered. {REGISTER_FIRST}")
    if connection.nothing_logged(project):
        raise none
    need = Need.PROMOTE if promotes else Need.READ
    registry = connection.check(project, need, model=model).registry
    unfinished.sweep(project)
    if not registry.client.search_registered_models(f"name = '{model}'"):
        raise none
    return registry


def _show_event(event: dict[str, Any]) -> None:
    verb = "Promoted" if event["action"] == "promote" else "Rolled back to"
    before = f"version {event['before']}" if event["before"] else "none"
    print(f"{verb} version {event['version']}. Previous champion: {before}.")
