"""`bring` on the command line."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    bring = commands.add_parser(
        "bring",
        help="bring the dvc.lock of a run or a version into the working tree",
        description="Writes dvc.lock, so that `dvc repro` here finds all stages done. Refused where"
        " parameters, code or dvc.yaml here are not the run's.",
    )
    bring.add_argument("what", metavar="RUN|VERSION", help="a name in .runs, a version, an alias")
    bring.add_argument("--params", action="store_true", help="write the run's params.yaml as well")
    bring.set_defaults(command=_bring)


def _bring(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.bring import bring

    names = bring(Path.cwd(), arguments.what, arguments.params)
    print(f"Wrote {' and '.join(names)}; `dvc repro` finds all done (`dvc pull` first elsewhere)")
    return 0
