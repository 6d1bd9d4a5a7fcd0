"""Options that several commands take."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _params(more: str = "") -> Any:
    return typer.Option(
        "--params",
        metavar="FILE",
        default_factory=list,
        show_default=False,
        help=f"YAML file merged over params.yaml{more}; may be repeated.",
    )


Params = Annotated[list[Path], _params()]
Named = Annotated[list[Path], _params(", whose run.model names the model")]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Stored in the history.")
]
