"""`bring` on the command line."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.maintenance.bring import Brought


def add(commands: Any) -> None:
    """Adds the subcommand."""
    bring = commands.add_parser(
        "bring",
        help="copy the dvc.lock of a run or a version into the working tree",
        description="Writes dvc.lock, so that `dvc repro` only takes the outs from DVC's cache, and"
        " says which the cache lacks. Refuses if the parameters, code or dvc.yaml of the working"
        " tree differ from the run's.",
    )
    bring.add_argument(
        "source", metavar="RUN|VERSION", help="a name in .runs, a version's number, or an alias"
    )
    bring.add_argument("--params", action="store_true", help="also write the run's params.yaml")
    bring.set_defaults(command=_bring)


def _bring(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.bring import bring

    brought = bring(Path.cwd(), arguments.source, arguments.params)
    print(f"Wrote {' and '.join(brought.names)}. {_next(brought)}")
    return 0


def _next(brought: "Brought") -> str:
    if not brought.not_cached:
        return "DVC's cache has all outs: `dvc repro` checks them out and runs no stage"
    names = ", ".join(brought.not_cached)
    lacks = f"DVC's cache lacks outs of {names}: "
    if brought.remote is None:
        return f"{lacks}`dvc repro` runs these stages again (no DVC remote is set to pull from)"
    return (
        f"{lacks}`dvc pull` fetches them from the DVC remote {brought.remote}; those that it does"
        " not have, `dvc repro` makes again"
    )
