"""`predict` on the command line."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    predict = commands.add_parser(
        "predict",
        help="find the entities of texts, lines or a file",
        description="Gives a row a text, in order: its entities with text, type, start, end (in"
        " characters of the text given) and score; what is wrong with the text, else null; and the"
        " provider that computed it. With --output, an interrupted call that is repeated goes on"
        " after its last whole row.",
    )
    predict.add_argument("text", metavar="TEXT", nargs="*", help="- for the lines of stdin")
    predict.add_argument(
        "--input", metavar="FILE", type=Path, help="a text a line; or .jsonl, or .parquet"
    )
    predict.add_argument(
        "--column", metavar="NAME", default="text", help="of .parquet, or key of .jsonl; text"
    )
    predict.add_argument(
        "--output", metavar="FILE", type=Path, help=".jsonl or .parquet; default: JSONL on stdout"
    )
    predict.add_argument(
        "--batch-size", metavar="ROWS", type=int, default=256, help="in memory at once; 256"
    )
    predict.add_argument(
        "--restart", action="store_true", help="forget what an interrupted call wrote"
    )
    predict.add_argument(
        "--model",
        metavar="URI",
        help="MLflow URI of the model; default models:/msra-ner@champion, else @challenger",
    )
    predict.set_defaults(command=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    from pipelines.prediction.predict import predict

    try:
        predict(
            Path.cwd(),
            arguments.text,
            arguments.input,
            arguments.column,
            arguments.output,
            arguments.batch_size,
            arguments.model,
            arguments.restart,
        )
    except BrokenPipeError:  # `| head`: nobody reads on, and Python must not flush at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0
