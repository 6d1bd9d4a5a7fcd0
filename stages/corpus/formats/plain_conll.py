"""Reads blocks of CoNLL lines by array operations, where no line needs a repair or a message."""

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.corpus.schemes import tag_problem
from stages.params.align import Align
from stages.text.labels import follows
from stages.text.sentence import SCHEMA


def blocks(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """The rest of `file` in blocks of about `size_bytes`, each up to a blank line or the end."""
    while block := file.read(size_bytes):
        parts = [block, file.readline()]
        while (line := file.readline()).strip(b" \t\r\n"):
            parts.append(line)
        yield b"".join([*parts, line])


def plain_sentences(block: bytes, params: Align) -> pa.RecordBatch | None:
    """The sentences of a block of lines, or None if a line of it is not plain.

    Plain is a line with a character and an allowed tag of the scheme BIO, in the columns that
    `align.conll` names, or without anything.
    """
    names, separator, comment = params.conll.columns, params.conll.separator, params.conll.comment
    separators = (separator or " \t").encode()
    if params.cells != "characters" or params.scheme != "BIO" or len(separator or " ") > 1:
        return None
    lines = b"\n" + block + b"\n" * (not block.endswith(b"\n"))
    odd = [b"\r", b"\n-DOCSTART-", *([f"\n{comment}".encode()] if comment else [])]
    if any(what in lines for what in odd) or lines.startswith(b"\n\xef\xbb\xbf"):
        return None
    try:
        lines.decode()
    except UnicodeDecodeError:
        return None
    data = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts, ends = ends[:-1] + 1, ends[1:]
    blank = starts == ends
    number = np.cumsum(blank)[~blank]  # of the sentence, with gaps
    starts, ends = starts[~blank], ends[~blank]
    fields = _fields(data, starts, ends, separators, len(names)) if len(starts) else None
    if fields is None:
        return None
    # Strings that begin and end where fields do: every second one is a field.
    bounds = np.append(fields.ravel(), len(data)).astype(np.int32)
    strings = pa.StringArray.from_buffers(
        len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(lines)
    )
    of_line = np.arange(len(starts)) * 2 * len(names)
    tokens, tags = (
        strings.take(pa.array(of_line + 2 * names.index(name))) for name in ("token", "tag")
    )
    first = np.flatnonzero(np.diff(number, prepend=-1))
    if not (_single(tokens) and _allowed(tags, first, params)):
        return None
    lists = pa.array(np.append(first, len(starts)).astype(np.int32))
    columns = [pa.ListArray.from_arrays(lists, values) for values in (tokens, tags)]
    return pa.record_batch([*columns, pa.nulls(len(first), pa.string())], schema=SCHEMA)


def _fields(
    data: NDArray[np.uint8],
    starts: NDArray[np.intp],
    ends: NDArray[np.intp],
    separators: bytes,
    columns: int,
) -> NDArray[np.intp] | None:
    """Start and end of each field [lines, 2 * columns]; None if a line has fewer or more."""
    # Not isin(): it takes five times as long for one value.
    at = np.flatnonzero(np.logical_or.reduce([data == separator for separator in separators]))
    if len(at) != len(starts) * (columns - 1):
        return None
    of_line = at.reshape(len(starts), columns - 1)
    # Each between its line's ends, so that there are as many in each line.
    if (of_line < starts[:, None]).any() or (of_line >= ends[:, None]).any():
        return None
    between = np.stack([of_line, of_line + 1], axis=2).reshape(len(starts), -1)
    return np.column_stack([starts, between, ends])


def _single(tokens: pa.StringArray) -> bool:
    """Whether each is one character."""
    lengths = np.diff(np.frombuffer(tokens.buffers()[1], np.int32))
    text = np.frombuffer(tokens.buffers()[2], np.uint8)
    characters = np.count_nonzero(text & 0b1100_0000 != 0b1000_0000)  # their first bytes in UTF-8
    return bool(lengths.all()) and characters == len(tokens)


def _allowed(tags: pa.StringArray, first: NDArray[np.intp], params: Align) -> bool:
    """Whether tags are known, and none continues an entity that does not exist.

    Args:
        tags: of all sentences.
        first: the index of each sentence's first tag.
        params: has the types.
    """
    column = tags.dictionary_encode()
    names = column.dictionary.to_pylist()
    if any(tag_problem(tag, params.scheme, params.types) for tag in names):
        return False
    after = np.array([[follows(tag, before) for before in [*names, "O"]] for tag in names])
    codes = np.from_dlpack(column.indices)
    before = np.concatenate([[0], codes[:-1]])
    before[first] = len(names)  # a sentence begins as after O
    return bool(after[codes, before].all())
