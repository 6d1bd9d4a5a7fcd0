"""The command `bring`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.command import Answer, command

if TYPE_CHECKING:
    from pipelines.maintenance.bring import Brought


@command("bring champion", "bring 20261124T1200 --params")
def bring(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|VERSION",
            help="A name in .runs; or the number or alias of a version of run.model.",
        ),
    ],
    params: Annotated[
        bool, typer.Option("--params", help="Also write the run's params.yaml.")
    ] = False,
) -> Answer:
    """Copies the dvc.lock of a run or a version into the working tree.

    Writes dvc.lock, so that `dvc repro` only takes the outs from DVC's cache, and says which the
    cache lacks. Refuses if the parameters, code or dvc.yaml of the working tree differ from the
    run's.
    """
    from pipelines.maintenance.bring import bring

    brought = bring(Path.cwd(), source, params)
    fields = {
        "wrote": brought.names,
        "not_cached": brought.not_cached,
        "remote": brought.remote,
    }
    return Answer(fields, lambda: print(f"Wrote {' and '.join(brought.names)}. {_next(brought)}"))


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
