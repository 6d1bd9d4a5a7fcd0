"""`promote`, `rollback`, `history` and `status` on the command line."""

import argparse
import json
import os
import sys
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
  4  files of the version are gone
  5  the version lacks a figure or a slice that gates need
  6  it is the champion already
  7  another promotion is under way, or won
  8  there is no previous champion to go back to"""
Result = tuple[dict[str, Any], Callable[[], None]]  # for --json; else what prints it


def add(commands: Any) -> None:
    """Adds the four subcommands."""
    promote = _command(
        commands,
        "promote",
        "make a version the champion if it passes the gates",
        "Holds the version, or else the challenger, to the gates in `promote` of params.yaml: f1,"
        " f1.TYPE, slice.NAME, not_worse, labels, parity, cuda, latency_p50, latency_p99. If it"
        " passes all, it becomes the champion, and the champion the previous one. Each verdict is"
        " kept as a tag of the version, gate.NAME, and comparison.html in its MLflow run: what it"
        " finds and the champion does not, and the other way round.",
        PARAMS,
    )
    promote.add_argument("version", metavar="VERSION", nargs="?", help="default: the challenger")
    how = promote.add_mutually_exclusive_group()
    how.add_argument(
        "--force", action="store_true", help="skip the gates; needs --reason, and history says so"
    )
    how.add_argument(
        "--dry-run", action="store_true", help="ask the gates and compare; the champion stays"
    )
    promote.add_argument("--reason", metavar="TEXT", help="kept in the history")
    promote.set_defaults(answer=_promote)

    rollback = _command(
        commands,
        "rollback",
        "make the previous champion the champion again",
        "Makes the previous champion the champion again, at once and without gates.",
    )
    rollback.add_argument("--reason", metavar="TEXT", help="kept in the history")
    rollback.set_defaults(answer=_rollback)
    _command(
        commands,
        "history",
        "print who made what the champion when, and why",
        "Prints each promotion and rollback, the oldest first.",
    ).set_defaults(answer=_history)
    _command(
        commands,
        "status",
        "print champion, challenger and previous with their figures",
        "Prints champion, challenger and previous with their figures.",
    ).set_defaults(answer=_status)


def _command(
    commands: Any, name: str, short: str, about: str, *options: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        parents=[*options, JSON],
        help=short,
        description=about,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=_run)
    return made


def _run(arguments: argparse.Namespace) -> int:
    """Prints what the subcommand answers; with --json also how it failed."""
    from mlflow.exceptions import MlflowException

    from pipelines.tracking import connection

    try:
        found, show = arguments.answer(arguments)
    except (PipelineError, OSError, MlflowException) as error:
        code = error.exit_code if isinstance(error, Refused) else Exit.ERROR
        said = str(error) if isinstance(error, PipelineError) else connection.said(error)
        if arguments.json:
            refused = error if isinstance(error, Refused) else Refused(code, said)
            more = {"gates": refused.gates, "comparison": refused.comparison}
            _print({"exit_code": int(code), "error": said, **more})
        else:
            print(said, file=sys.stderr)
        return int(code)
    if arguments.json:
        _print({"exit_code": 0, **found})
    else:
        show()
    return 0


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _client(project: Path, promotes: bool = False) -> "MlflowClient":
    """Raises a PipelineError where there is nothing, without making an empty mlflow.db."""
    from pipelines.names import MODEL
    from pipelines.tracking import connection
    from pipelines.tracking.connection import Need

    nothing = f"No version of {MODEL} is registered yet: `python -m pipelines run` does"
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (project / "mlflow.db").exists():
        raise PipelineError(nothing)
    connection.check(project, Need.PROMOTE if promotes else Need.READ)
    client = connection.connect(project)
    if not client.search_registered_models(f"name = '{MODEL}'"):
        raise PipelineError(nothing)
    return client


def _promote(arguments: argparse.Namespace) -> Result:
    from pipelines.promotion.promote import promote
    from pipelines.workspaces import overlays, workspace

    project = Path.cwd()
    workspace.require_project(project)
    gates = overlays.sections(project, arguments.params).promote
    client = _client(project, promotes=True)
    asked = (arguments.version, arguments.reason, arguments.force, arguments.dry_run)
    done = promote(client, project, gates, *asked)
    event = asdict(done.event) if done.event else None

    def show() -> None:
        for gate in done.gates:
            print(f"{gate.name}: {gate}")
        if done.comparison:
            print(f"Comparison: {done.comparison}")
        if event:
            _show_event(event)
        else:
            print("It passes all gates; no alias was moved")

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
    before = f"version {event['before']} was" if event["before"] else "there was none"
    print(f"Champion is version {event['version']}, {before} until {event['when'][:19]} UTC")
