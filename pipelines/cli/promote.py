"""`promote`, `rollback`, `history` and `status` on the command line."""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.cli.options import JSON, PARAMS
from pipelines.errors import Exit, PipelineError, Refused

if TYPE_CHECKING:
    from mlflow import MlflowClient

CODES = """\
exit codes:
  0  done
  1  another error, such as no such version
  3  a gate failed
  4  files of the version are missing
  5  the version lacks a figure or a slice that the gates need
  6  the version is already the champion
  7  another promotion is running, or finished first
  8  there is no previous champion to roll back to"""
Result = tuple[
    dict[str, Any], Callable[[], None]
]  # the output of --json, and a function that prints the result


def add(commands: Any) -> None:
    """Adds the four subcommands."""
    promote = _command(
        commands,
        "promote",
        "make a version the champion if it passes the gates",
        "Evaluates the gates in `promote` of params.yaml for the version, by default the"
        " challenger: f1, f1.TYPE, slice.NAME, not_worse, labels, parity, cuda, latency_p50,"
        " latency_p99. If all pass, the version becomes the champion, and the champion becomes the"
        " previous one. Stores each verdict as a tag of the version, gate.NAME, and comparison.html"
        " in its MLflow run: the entities that only one of the two finds.",
        PARAMS,
    )
    promote.add_argument("version", metavar="VERSION", nargs="?", help="default: the challenger")
    how = promote.add_mutually_exclusive_group()
    how.add_argument(
        "--force",
        action="store_true",
        help="skip the gates; needs --reason, and is recorded in the history",
    )
    how.add_argument(
        "--dry-run", action="store_true", help="evaluate the gates and compare; move no alias"
    )
    promote.add_argument("--reason", metavar="TEXT", help="stored in the history")
    promote.set_defaults(answer=_promote)

    rollback = _command(
        commands,
        "rollback",
        "make the previous champion the champion again",
        "Makes the previous champion the champion again, without gates.",
    )
    rollback.add_argument("--reason", metavar="TEXT", help="stored in the history")
    rollback.set_defaults(answer=_rollback)
    _command(
        commands,
        "history",
        "print who promoted which version when, and why",
        "Prints each promotion and rollback, oldest first.",
    ).set_defaults(answer=_history)
    _command(
        commands,
        "status",
        "print champion, challenger and previous champion with their figures",
        "Prints champion, challenger and previous champion with their figures.",
    ).set_defaults(answer=_status)


def _command(
    commands: Any, name: str, short: str, about: str, *options: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        parents=[*options, JSON],
        help=short,
        description=textwrap.fill(about, 79),
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=_run)
    return made


def _run(arguments: argparse.Namespace) -> int:
    """Prints the subcommand's result; with --json also its error."""
    from mlflow.exceptions import MlflowException

    from pipelines.tracking import connection

    try:
        found, show = arguments.answer(arguments)
    except (PipelineError, OSError, MlflowException) as error:
        code = error.exit_code if isinstance(error, Refused) else Exit.ERROR
        message = str(error) if isinstance(error, PipelineError) else connection.said(error)
        if arguments.json:
            refused = error if isinstance(error, Refused) else Refused(code, message)
            more = {"gates": refused.gates, "comparison": refused.comparison}
            _print({"exit_code": int(code), "error": message, **more})
        else:
            print(message, file=sys.stderr)
        return int(code)
    if arguments.json:
        _print({"exit_code": 0, **found})
    else:
        show()
    return 0


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _client(project: Path, promotes: bool = False) -> "MlflowClient":
    """A client of the registry; raises a PipelineError if no version is registered."""
    from pipelines.names import MODEL, REGISTER_FIRST
    from pipelines.tracking import connection
    from pipelines.tracking.connection import Need

    none = PipelineError(f"No version of {MODEL} is registered. {REGISTER_FIRST}")
    if connection.nothing_logged(project):
        raise none
    connection.check(project, Need.PROMOTE if promotes else Need.READ)
    client = connection.connect(project)
    if not client.search_registered_models(f"name = '{MODEL}'"):
        raise none
    return client


def _promote(arguments: argparse.Namespace) -> Result:
    from pipelines.promotion.promote import promote
    from pipelines.workspaces import overlays, workspace

    project = Path.cwd()
    workspace.require_project(project)
    gates = overlays.sections(project, arguments.params).promote
    client = _client(project, promotes=True)
    options = (arguments.version, arguments.reason, arguments.force, arguments.dry_run)
    done = promote(client, project, gates, *options)
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
    return {"event": event, "gates": found, "comparison": done.comparison}, show


def _rollback(arguments: argparse.Namespace) -> Result:
    from pipelines.promotion.promote import rollback

    project = Path.cwd()
    event = asdict(rollback(_client(project, promotes=True), project, arguments.reason))
    return {"event": event}, lambda: _show_event(event)


def _history(arguments: argparse.Namespace) -> Result:  # noqa: ARG001
    from pipelines.cli import status_table
    from pipelines.registry import history

    found = history.events(_client(Path.cwd()))
    return {"history": [asdict(event) for event in found]}, lambda: status_table.show_history(found)


def _status(arguments: argparse.Namespace) -> Result:  # noqa: ARG001
    from pipelines.cli import status_table

    found = status_table.status(_client(Path.cwd()))
    return dict(found), lambda: status_table.show_status(found)


def _show_event(event: dict[str, Any]) -> None:
    verb = "Promoted" if event["action"] == "promote" else "Rolled back to"
    before = f"version {event['before']}" if event["before"] else "none"
    print(f"{verb} version {event['version']}. Previous champion: {before}.")
