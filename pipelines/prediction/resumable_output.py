"""Writes the output of `predict`: complete or not at all, and resumable."""

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import PipelineError

ENTITY = pa.struct(
    [
        ("text", pa.string()),
        ("type", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("score", pa.float64()),
        ("passed", pa.bool_()),  # null in the output of an older version
    ]
)
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("entities", pa.list_(ENTITY)),
        ("error", pa.string()),
        ("provider", pa.string()),
    ]
)
GROUP_BYTES = 2**24


class PartialOutput:
    """The rows of an incomplete output, as lines of JSON in `folder`."""

    def __init__(self, output: Path, folder: Path, file: IO[bytes]) -> None:
        """Takes `file`, open for reading and appending, which must end with a complete line."""
        self._output, self._folder, self._file = output, folder, file

    def skip_done(self, texts: Iterator[str]) -> int:
        """Counts the rows that are done, and consumes as many of `texts`, each as JSON.

        Raises:
            PipelineError: if a row's text differs from the input, so the input was changed.
        """
        number = 0
        with (self._folder / "rows.jsonl").open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if _text(line) != next(texts, None):
                    raise PipelineError(
                        f"Row {number} of the input has changed since {self._output} was started:"
                        " give the same input, or --restart to start again"
                    )
        return number

    def add(self, lines: Iterable[str]) -> None:
        """Appends rows, one line of JSON each, and flushes them."""
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()

    def finish(self) -> None:
        """Moves the output to its place and removes the folder."""
        rows = self._folder / "rows.jsonl"
        if self._output.suffix == ".parquet":
            _to_parquet(rows, self._folder / "rows.parquet")
            rows = self._folder / "rows.parquet"
        rows.replace(self._output)
        shutil.rmtree(self._folder)


def check_output(output: Path, source: Path | None) -> None:
    """Raises a PipelineError if `output` cannot be written, before a model is loaded."""
    if output.suffix not in (".jsonl", ".ndjson", ".parquet"):
        raise PipelineError(f"{output}: the output must end in .jsonl or .parquet")
    if source is not None and output.resolve() == source.resolve():
        raise PipelineError(f"{output} is also the input: name another output")
    if not output.parent.is_dir():
        raise PipelineError(f"There is no folder {output.parent}: create it first")


@contextmanager
def open_partial(output: Path, model_id: str, restart: bool) -> Iterator[PartialOutput]:
    """Opens `.NAME.partial` beside `output`, with the rows that an interrupted call left.

    It drops an incomplete last line. Only one process may have it open.

    Raises:
        PipelineError: if another model started it, or another process has it open.
    """
    folder = output.with_name(f".{output.name}.partial")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipelineError(
                f"Another process is writing {output}: wait until it ends"
            ) from None
        rows, model = folder / "rows.jsonl", folder / "model"
        started_with = model.read_text() if model.exists() and not restart else ""
        if not started_with:
            rows.unlink(missing_ok=True)
            model.write_text(model_id)
        elif started_with != model_id:
            raise PipelineError(
                f"{output} was started with the model {started_with}, but this is {model_id}:"
                f" continue with --model models:/{started_with}, or give --restart to start again"
            )
        with rows.open("a+b") as file:
            file.truncate(_whole_lines_bytes(rows))
            yield PartialOutput(output, folder, file)


def _text(line: bytes) -> str | None:
    try:
        return json.dumps(json.loads(line)["text"])
    except ValueError:  # a power cut may leave zeros
        return None


def _whole_lines_bytes(rows: Path) -> int:
    size = 0
    with rows.open("rb") as file:
        for line in file:
            size += len(line) if line.endswith(b"\n") else 0
    return size


def _to_parquet(rows: Path, path: Path) -> None:
    """Writes one row group for every `GROUP_BYTES` of lines."""
    with rows.open("rb") as lines, pq.ParquetWriter(path, SCHEMA) as writer:
        while group := lines.readlines(GROUP_BYTES):
            writer.write_table(pa.Table.from_pylist(list(map(_record, group)), SCHEMA))


def _record(line: bytes) -> dict[str, Any]:
    """A row for Parquet: a text that is not a string becomes null, and its error says why."""
    row: dict[str, Any] = json.loads(line)
    text = row["text"]
    row["text"] = text.encode(errors="replace").decode() if isinstance(text, str) else None
    return row
