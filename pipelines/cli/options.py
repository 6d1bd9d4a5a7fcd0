"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Params = Annotated[
    list[Path],
    typer.Option(
        "--params",
        metavar="FILE",
        default_factory=list,
        show_default=False,
        help="YAML file merged over params.yaml; may be repeated.",
    ),
]
Named = Annotated[
    list[Path],
    typer.Option(
        "--params",
        metavar="FILE",
        default_factory=list,
        show_default=False,
        help="YAML file merged over params.yaml, whose run.model names the model; may be repeated.",
    ),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Stored in the history.")
]
