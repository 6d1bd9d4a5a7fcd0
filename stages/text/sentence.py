"""Labelled sentences: one as an object, many as the columns of an Arrow batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from stages.text.labels import Cells

SENTENCES_AT_ONCE = 1000
SCHEMA = pa.schema(
    {"cells": pa.list_(pa.string()), "tags": pa.list_(pa.string()), "meta": pa.string()}
)
"""Of a batch: a row a sentence, with the fields of `Sentence`."""


@dataclass(frozen=True)
class Sentence:
    """A sentence: its cells (see `stages.text.cells`) and one tag per cell."""

    cells: str | tuple[str, ...]
    """A string of characters, or a tuple of words."""
    tags: tuple[str, ...]
    """IOB2."""
    meta: str | None = None
    """Metadata of the corpus: a JSON object of strings, numbers and booleans."""


def as_batches(sentences: Iterable[Sentence]) -> Iterator[pa.RecordBatch]:
    """The sentences in batches of `SENTENCES_AT_ONCE`, in the columns of `SCHEMA`."""
    sentences = iter(sentences)
    while some := list(islice(sentences, SENTENCES_AT_ONCE)):
        yield as_batch(some)


def as_batch(sentences: Sequence[Sentence]) -> pa.RecordBatch:
    """The sentences in the columns of `SCHEMA`."""
    rows = ([list(s.cells) for s in sentences], [s.tags for s in sentences])
    return pa.record_batch([*rows, [s.meta for s in sentences]], schema=SCHEMA)


def as_sentences(batch: pa.RecordBatch, kind: Cells) -> Iterator[Sentence]:
    """The rows of a batch as objects."""
    for cells, tags, meta in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield Sentence("".join(cells) if kind == "characters" else tuple(cells), tuple(tags), meta)
