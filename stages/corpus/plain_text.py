"""Reads unlabelled text, a text a line, as sentences without entities."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.contract.errors import StageError
from stages.contract.progress import progress
from stages.corpus.corpus import Corpus, Repairs, among, text_hashes
from stages.corpus.data_warnings import UNKNOWN_SHARE, DataWarning, percent
from stages.corpus.formats.lines import lines
from stages.text.cells import cells_of
from stages.text.labels import Cells, Labels
from stages.text.sentence import SCHEMA
from stages.text.tokens import CellEncoder
from stages.text.windows_writer import write_aligned

BLOCK_BYTES = 2**18
LINE_BYTES = 2**20


def text_files(raw: Path) -> list[Path]:
    """The files of plain text that `download` copied to `raw`, in the order of `download.text`."""
    return sorted(raw.glob("text.*.*"), key=lambda path: int(path.name.split(".")[1]))


def align_text(
    files: Sequence[Path], labels: Labels, encode: CellEncoder, test: Corpus, path: Path
) -> dict[str, Any]:
    """Writes the windows of the files' lines to `path`, a Parquet table of token ids alone.

    They do not overlap, unless the last of a line is moved back until it is full. Lines equal to a
    sentence of `test` are counted and stay: they have no labels.

    Returns:
        `files`, `sentences` (lines), `characters` or `words`, `unknown_rate`, `windows` and
        `in_test`.

    Raises:
        StageError: as `read_text`.
    """
    in_test, of_test = 0, np.sort(test.texts)

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal in_test
        for file in files:
            for batch in read_text(file, labels.cells, bar.update):
                in_test += int(among(text_hashes(batch), of_test).sum())
                yield batch

    apart = replace(labels, window_overlap_tokens=0)
    with progress(sum(file.stat().st_size for file in files), "align text", "B") as bar:
        found = write_aligned(batches(), apart, encode, path, False, lambda _: None, ["input_ids"])
    kept = ("sentences", labels.cells, "unknown_rate", "windows")
    return {"files": len(files), **{key: found[key] for key in kept}, "in_test": in_test}


def text_warnings(figures: Mapping[str, Any]) -> Iterator[DataWarning]:
    """What is doubtful about the text, by the figures of `align_text`."""
    if figures["in_test"]:
        yield DataWarning(
            message=f"{figures['in_test']:,} lines of download.text are sentences of test too: the"
            " model reads them, without labels, in pretraining",
            remedy="delete them from the text, if test F1 is to be that on unread text; longer"
            " lines that contain a test sentence are not counted",
        )
    if figures["unknown_rate"] > UNKNOWN_SHARE:
        yield DataWarning(
            message=f"{percent(figures['unknown_rate'])} of download.text is not in the encoder's"
            " vocabulary",
            remedy="check that the text is of the encoder's language, and without markup",
        )


def read_text(path: Path, kind: Cells, done: Callable[[int], Any]) -> Iterator[pa.RecordBatch]:
    """Yields the lines of a file in the columns of `stages.text.sentence.SCHEMA`, some at a time.

    Lines of white space are left out. `done` is called with the number of bytes of each batch.

    Raises:
        StageError: the file is not UTF-8, with its line; a line is too long to be a text; there is
            no text.
    """
    first, found = 1, False
    with path.open("rb") as file:
        while block := _block(file.readline, path, first):
            numbered = lines(path, Repairs(), BytesIO(b"".join(block)), first)
            texts = [text for _, text in numbered if text.strip()]
            if texts:
                found = True
                yield _batch(texts, kind)
            first += len(block)
            done(sum(map(len, block)))
    if not found:
        raise StageError(
            f"{path} has no text; remove it from download.text, or correct its address"
        )


def _block(readline: Callable[[int], bytes], path: Path, first: int) -> list[bytes]:
    """The next lines of a file, from number `first` on; none at its end."""
    block: list[bytes] = []
    size = 0
    while size < BLOCK_BYTES and (line := readline(LINE_BYTES)):
        if len(line) == LINE_BYTES:
            raise StageError(
                f"{path}:{first + len(block)}: a line of {LINE_BYTES:,} bytes or more; write a"
                " sentence or a paragraph a line"
            )
        block.append(line)
        size += len(line)
    return block


def _batch(texts: Sequence[str], kind: Cells) -> pa.RecordBatch:
    rows = [cells_of(text, kind) for text in texts]
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    bounds = pa.array(ends)
    cells = pa.array([*chain.from_iterable(rows)], pa.string())
    columns = [cells, pa.repeat(pa.scalar("O"), len(cells))]
    lists = [pa.ListArray.from_arrays(bounds, column) for column in columns]
    return pa.record_batch([*lists, pa.nulls(len(rows), pa.string())], schema=SCHEMA)
