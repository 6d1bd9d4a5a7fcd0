"""`bring` on the command line."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    bring = commands.add_parser(
        "bring",
        help="copy the dvc.lock of a run or a version into the working tree",
        description="Writes dvc.lock, so that `dvc repro` finds nothing to do. Refuses if the"
        " parameters, code or dvc.yaml of the working tree differ from the run's.",
    )
    bring.add_argument(
        "source", metavar="RUN|VERSION", help="a name in .runs, a version's number, or an alias"
    )
    bring.add_argument("--params", action="store_true", help="also write the run's params.yaml")
    bring.set_defaults(command=_bring)


def _bring(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.bring import bring

    names = bring(Path.cwd(), arguments.source, arguments.params)
    print(
        f"Wrote {' and '.join(names)}. `dvc repro` has nothing to do (elsewhere, `dvc pull` first)"
    )
    return 0
