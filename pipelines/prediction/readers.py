"""Reads the input of `predict` row by row, without loading a whole file into memory."""

import csv
import json
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import PipelineError

# More than the longest text that the model accepts, with every character a JSON escape.
MAX_LINE_BYTES = 2**24
PARQUET_ROWS = 64
NAME_CHARACTERS = 40  # shown of each column's name, which is a text where a header is missing
CHUNK_BYTES = 2**20
LINES, JSONL, TABLES = ("", ".txt"), (".jsonl", ".ndjson", ".json"), {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Row:
    """The value of one row, or why it cannot be read."""

    value: Any
    error: str | None = None


@dataclass(frozen=True)
class Input:
    """The rows in order, and how many there are: 0 if unknown."""

    rows: Iterator[Row]
    total: int


def open_input(texts: list[str], path: Path | None, column: str) -> Input:
    """Opens `texts`, or standard input if `texts` is ["-"], or the file `path`.

    The ending of a file says what it is: one text per line, JSONL, CSV, TSV or Parquet. `column` is
    the column of a table or the key of JSONL. A line of JSONL may also be a string.

    Raises:
        PipelineError: if there is no input or no such file, its ending is another one, or it is a
            table without that column, no table, or one JSON array.
        OSError: if the file cannot be read.
    """
    if (path is None) == (not texts):
        raise PipelineError("Give texts, or - to read lines from standard input, or --input FILE")
    if texts == ["-"]:
        return Input(_text(sys.stdin.buffer), 0)
    if path is None:
        return Input(map(Row, texts), len(texts))
    if not path.exists() or path.is_dir():
        raise PipelineError(f"There is no file {path}: correct --input")
    if path.suffix == ".parquet":
        return _parquet(path, column)
    if path.suffix in TABLES:
        # A quoted cell may have line ends, so rows are counted as they are read.
        total = sum(1 for _ in _table(path, column)) if path.is_file() else 0
        return Input(_table(path, column), total)
    if path.suffix not in (*LINES, *JSONL):
        raise PipelineError(
            f"{path} ends in {path.suffix}: give a .txt with one text per line, .jsonl, .csv, .tsv"
            f" or .parquet, or the lines of any file by `predict - < {shlex.quote(str(path))}`"
        )
    if path.suffix in JSONL and path.is_file():
        _refuse_array(path)
    file = path.open("rb")
    rows = _jsonl(file, column) if path.suffix in JSONL else _text(file)
    return Input(rows, _line_count(path))


def _refuse_array(path: Path) -> None:
    """Before the first row: else an array is read as one wrong line, or as many wrong texts."""
    with path.open("rb") as file:
        if not file.read(CHUNK_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            return
    lines = shlex.quote(str(path.with_suffix(".lines.jsonl")))
    raise PipelineError(
        f"{path} begins with [, as one JSON array, but rows are read line by line:"
        f" jq -c '.[]' {shlex.quote(str(path))} > {lines}"
    )


def _text(file: IO[bytes]) -> Iterator[Row]:
    for number, line in enumerate(_lines(file)):
        if line is None:
            yield _TOO_LONG
        else:
            yield _decoded(line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line)


def _jsonl(file: IO[bytes], key: str) -> Iterator[Row]:
    for line in _lines(file):
        yield _TOO_LONG if line is None else _parsed(line, key)


def _parsed(line: bytes, key: str) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(None, f"line is not JSON: {error}")
    if isinstance(value, str):
        return Row(value)
    if not isinstance(value, dict):
        return Row(None, f"line must be an object or a string, not {type(value).__name__}")
    if key not in value:
        return Row(None, f"line has no key {key}")
    if not isinstance(value[key], str) and len(line) > CHUNK_BYTES:  # do not keep it in memory
        return Row(None, f"{key} must be a string; this line has {len(line)} bytes")
    return Row(value[key])


def _table(path: Path, column: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open("rb") as file:
        table = csv.reader(_table_lines(path, file), delimiter=TABLES[path.suffix], strict=True)
        try:
            at = _position(path, next(table, []), column)
            for cells in table:
                cell = (cells or [""])[at : at + 1]  # an empty line is an empty cell
                if cell:
                    yield _decoded(cell[0].encode(errors="surrogateescape"))
                else:
                    yield Row(None, f"row has no column {column}, it ends after {len(cells)}")
        except csv.Error as error:
            raise PipelineError(
                f"{path} line {table.line_num}: {error}: correct the quotes before it"
            ) from None


def _table_lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    """Each line with its line end, as `csv` wants it."""
    start = b"\xef\xbb\xbf"
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise PipelineError(f"{path} has a line of {MAX_LINE_BYTES} bytes or more: shorten it")
        yield line.removeprefix(start).decode(errors="surrogateescape")
        start = b""


def _position(path: Path, header: list[str], column: str) -> int:
    """Where the column is; the first line is taken for the header."""
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise PipelineError(f"{path} has {header.count(column)} columns {column}: rename one")
    names = ", ".join(name[:NAME_CHARACTERS] for name in header) or "nothing"
    raise PipelineError(
        f"{path} has no column {column}; its first line, the header, has {names}: name one of them"
        " with --column, or add a header"
    )


def _parquet(path: Path, column: str) -> Input:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise PipelineError(f"{path} is not Parquet: {error}") from None
    if column not in file.schema_arrow.names:
        raise PipelineError(
            f"{path} has no column {column}: give one of {', '.join(file.schema_arrow.names)}"
            " with --column"
        )
    return Input(_parquet_rows(path, file, column), file.metadata.num_rows)


def _parquet_rows(path: Path, file: Any, column: str) -> Iterator[Row]:
    try:
        for batch in file.iter_batches(PARQUET_ROWS, columns=[column]):
            values = batch.column(0)
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
            # As bytes, so that a text that is not UTF-8 does not affect others.
            for value in (values.cast(pa.large_binary()) if text else values).to_pylist():
                yield _decoded(value) if text and value is not None else Row(value)
    except pa.ArrowException as error:
        raise PipelineError(f"{path} is damaged: {error}") from None


_TOO_LONG = Row(None, f"line has more than {MAX_LINE_BYTES} bytes")


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Each line without its line end; None for a line of more than `MAX_LINE_BYTES`."""
    while line := file.readline(MAX_LINE_BYTES):
        long = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
        while line and long and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)
        yield None if long else line.removesuffix(b"\n").removesuffix(b"\r")


def _decoded(line: bytes) -> Row:
    try:
        return Row(line.decode())
    except UnicodeDecodeError as error:
        return Row(
            line.decode(errors="surrogateescape"),
            f"text is not UTF-8: byte 0x{line[error.start]:02x} at {error.start}",
        )


def _line_count(path: Path) -> int:
    if not path.is_file():  # a pipe can be read only once
        return 0
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while chunk := os.read(file.fileno(), CHUNK_BYTES):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")
