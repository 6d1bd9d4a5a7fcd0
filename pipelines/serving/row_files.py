"""Writes rows that a server keeps to Parquet files of bounded number and size, and reads them."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import PipelineError

ROWS, SECONDS = 4096, 600.0
"""A file is written when there are so many rows, or the first of them is so old."""
FILES, BYTES = 1000, 2**28
"""Beyond them the oldest files are deleted."""
logger = logging.getLogger("pipelines.serving")


class RowFiles:
    """The files of a folder; several servers may write to it. Rows are added by one thread."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Creates the folder, for its owner alone.

        Raises:
            PipelineError: if nothing can be written there.
        """
        self._folder, self._schema = folder, schema
        self._rows: list[dict[str, Any]] = []
        self._since = 0.0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise PipelineError(
                f"Cannot write to {folder} ({error.strerror}): name another folder"
            ) from None

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row, to be written later."""
        if not self._rows:
            self._since = time.monotonic()
        self._rows.append(row)

    def write_if_due(self) -> None:
        """Writes the rows if they are many or old enough."""
        if len(self._rows) >= ROWS or (self._rows and time.monotonic() - self._since > SECONDS):
            self.write()

    def write(self) -> None:
        """Writes the rows that there are to a file of mode 0600, then deletes the oldest files.

        A failure is logged and costs these rows: memory is bounded, and requests go on.
        """
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            self._write(pa.Table.from_pylist(rows, self._schema))
            self._prune()
        except (OSError, pa.ArrowException) as error:
            logger.error("rows were not written", extra={"rows": len(rows), "error": str(error)})

    def _write(self, table: pa.Table) -> None:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-"
        handle, made = tempfile.mkstemp(".partial", name, self._folder)  # of mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file, compression="zstd")
            Path(made).replace(Path(made).with_suffix(".parquet"))
        finally:
            Path(made).unlink(missing_ok=True)

    def _prune(self) -> None:
        left = FILES, BYTES
        for path in sorted(self._folder.glob("*.pa*"), reverse=True):
            with suppress(FileNotFoundError):  # another server has renamed or deleted it
                left = left[0] - 1, left[1] - path.stat().st_size
            if min(left) < 0:
                path.unlink(missing_ok=True)


def read(folder: Path, wanted: Sequence[tuple[str, str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of all files of a folder, the oldest first, that meet conditions of pyarrow's."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path, filters=list(wanted))
        except FileNotFoundError:  # the server has deleted it meanwhile
            continue
        yield from table.to_pylist()


def last_written(folder: Path) -> datetime | None:
    """When the newest file of the folder was written; None if it has none."""
    times = [path.stat().st_mtime for path in folder.glob("*.parquet")]
    return datetime.fromtimestamp(max(times), UTC) if times else None
