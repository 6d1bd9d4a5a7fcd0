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
        description="Prints one row per text, in the order of the input. A row has the entities"
        " with text, type, start, end (in characters of the input) and score; an error, or null;"
        " and the ONNX Runtime provider. With --output, repeat an interrupted call to resume it"
        " after the last complete row.",
    )
    predict.add_argument("text", metavar="TEXT", nargs="*", help="- reads lines from stdin")
    predict.add_argument(
        "--input", metavar="FILE", type=Path, help="one text per line, .jsonl or .parquet"
    )
    predict.add_argument(
        "--column",
        metavar="NAME",
        default="text",
        help="column of .parquet, or key of .jsonl; default: %(default)s",
    )
    predict.add_argument(
        "--output", metavar="FILE", type=Path, help=".jsonl or .parquet; default: JSONL on stdout"
    )
    predict.add_argument(
        "--batch-size",
        metavar="ROWS",
        type=int,
        default=256,
        help="in memory at once; default: %(default)s",
    )
    predict.add_argument(
        "--restart", action="store_true", help="discard the rows of an interrupted call"
    )
    predict.add_argument(
        "--model",
        metavar="URI",
        help="MLflow URI of the model; default: models:/msra-ner@champion, or else @challenger",
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
    except BrokenPipeError:  # `| head` has closed the pipe: Python must not flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0
