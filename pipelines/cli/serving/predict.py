"""The command `predict`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.command import command
from pipelines.cli.options import Named


@command(
    "predict 李明在北京。",
    "predict --input texts.txt --output entities.parquet",
    "predict --input reviews.csv --column review --output entities.jsonl",
    takes_json=False,  # its rows are JSON
)
def predict(
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT", default_factory=list, show_default=False,
            help="- reads lines from stdin. A text that begins with - comes after --.",
        ),
    ],
    params: Named,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help=".txt with one text per line, .csv, .tsv, .jsonl or .parquet.",
        ),
    ] = None,
    column: Annotated[
        str,
        typer.Option(
            "--column",
            metavar="NAME",
            help="Column of .csv, .tsv or .parquet, or key of .jsonl.",
        ),
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help=".jsonl or .parquet; default: JSONL on stdout."
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="ROWS", help="In memory at once.")
    ] = 256,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard the rows of an interrupted call.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="URI",
            help="MLflow URI of the model; default: models:/NAME@champion, or else @challenger,"
            " where NAME is run.model of params.yaml.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Finds the entities of texts, lines or a file.

    Prints one row per text, in the order of the input. A row has the entities with text, type,
    start, end (in characters of the input), score (the probability that it is right) and passed
    (whether that reaches the threshold of its type); an error, or null; and the ONNX Runtime
    provider. With --output, repeat an interrupted call to resume it after the last complete row.
    """
    from pipelines.prediction.predict import Wanted, predict
    from pipelines.workspaces import merging

    project = Path.cwd()
    wanted = Wanted(merging.model_name(project, params), model)
    predict(project, texts, source, column, output, batch_size, wanted, restart)
