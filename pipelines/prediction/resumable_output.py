"""The file that `predict` writes: whole or not at all, and an interrupted one goes on."""

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


class Answers:
    """The answered rows of an output that is not whole yet: lines of JSON in `folder`."""

    def __init__(self, output: Path, folder: Path, file: IO[bytes]) -> None:
        """Takes `file`, open for reading and appending, which ends after a whole line."""
        self._output, self._folder, self._file = output, folder, file

    def done(self, texts: Iterator[str]) -> int:
        """Counts the rows that are there, and takes as many of `texts`, each as JSON.

        Raises:
            PipelineError: if a row's text is not the input's: the input was changed.
        """
        number = 0
        with (self._folder / "rows.jsonl").open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if _text(line) != next(texts, None):
                    raise PipelineError(
                        f"Row {number} of the input is not what it was when {self._output} was"
                        " begun: give the same input, or --restart to begin again"
                    )
        return number

    def add(self, lines: Iterable[str]) -> None:
        """Appends rows, a line of JSON each, so that a kill after it loses none of them."""
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()

    def finish(self) -> None:
        """Puts the output in its place and removes the folder."""
        rows = self._folder / "rows.jsonl"
        if self._output.suffix == ".parquet":
            _to_parquet(rows, self._folder / "rows.parquet")
            rows = self._folder / "rows.parquet"
        rows.replace(self._output)
        shutil.rmtree(self._folder)


def check_output(output: Path, source: Path | None) -> None:
    """Raises a PipelineError if `output` cannot be written, before a model is loaded for it."""
    if output.suffix not in (".jsonl", ".ndjson", ".parquet"):
        raise PipelineError(f"{output}: an output ends in .jsonl or .parquet")
    if source is not None and output.resolve() == source.resolve():
        raise PipelineError(f"{output} is the input as well: name another output")
    if not output.parent.is_dir():
        raise PipelineError(f"{output.parent} is no folder: make it first")


@contextmanager
def answers(output: Path, model_id: str, restart: bool) -> Iterator[Answers]:
    """What an interrupted call left of `output`, or a new beginning, in `.NAME.partial` beside it.

    Half a line at its end is dropped. One process at a time.

    Raises:
        PipelineError: if another model began it, or another process is at it.
    """
    folder = output.with_name(f".{output.name}.partial")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipelineError(f"Another process is writing {output}: wait for it") from None
        rows, model = folder / "rows.jsonl", folder / "model"
        began_with = model.read_text() if model.exists() and not restart else ""
        if not began_with:
            rows.unlink(missing_ok=True)
            model.write_text(model_id)
        elif began_with != model_id:
            raise PipelineError(
                f"{output} was begun with the model {began_with}, this is {model_id}: go on with"
                f" --model models:/{began_with}, or --restart to begin again"
            )
        with rows.open("a+b") as file:
            file.truncate(_whole_lines_bytes(rows))
            yield Answers(output, folder, file)


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
    """A row group every `GROUP_BYTES` of lines."""
    with rows.open("rb") as lines, pq.ParquetWriter(path, SCHEMA) as writer:
        while group := lines.readlines(GROUP_BYTES):
            writer.write_table(pa.Table.from_pylist(list(map(_record, group)), SCHEMA))


def _record(line: bytes) -> dict[str, Any]:
    """A row as Parquet can hold it: a text that is no string is null, its error says why."""
    row: dict[str, Any] = json.loads(line)
    text = row["text"]
    row["text"] = text.encode(errors="replace").decode() if isinstance(text, str) else None
    return row
