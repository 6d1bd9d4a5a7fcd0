"""Writes the Parquet table of an aligned split."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.text.labels import Labels
from stages.text.split_figures import SplitFigures
from stages.text.tokens import CellEncoder
from stages.text.window_rows import label_type

ROW_GROUP = 2**14  # windows, of a few MB: readers have one in memory


def write_aligned(
    batches: Iterable[pa.RecordBatch],
    labels: Labels,
    encode: CellEncoder,
    path: Path,
    meta: bool,
    done: Callable[[int], Any],
    columns: Collection[str] | None = None,
) -> dict[str, Any]:
    """Writes a split to `path`, in the columns of `stages.text.windows_table.Aligned`.

    The column `meta` is left out unless `meta`; `columns` leaves out all others. `done`
    is called with the number of sentences of each batch. A row group has `ROW_GROUP` windows or a
    few more, so that a reader needs to have no more of them in memory, as this does not.

    Returns:
        Counts of the sentences, and of what the rows keep of them.

    Raises:
        StageError: the rows lack a tag of the corpus, or change their order.
    """
    counted = SplitFigures(labels, encode)
    schema = _schema(labels, meta, columns)
    with pq.ParquetWriter(path, schema) as file:
        for rows in _row_groups(counted.rows(batches, done)):
            file.write_table(rows.select(schema.names).cast(schema), row_group_size=len(rows))
    return counted.figures()


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= ROW_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _schema(labels: Labels, meta: bool, only: Collection[str] | None) -> pa.Schema:
    """With the metadata by which `datasets` knows the columns; to import it takes a second."""
    types = {
        "sentence": pa.int32(),
        "cells": pa.list_(pa.string()),
        "input_ids": pa.list_(pa.int32()),
        "labels": pa.list_(pa.from_numpy_dtype(label_type(labels))),
    } | ({"meta": pa.string()} if meta else {})
    columns = {name: type_ for name, type_ in types.items() if only is None or name in only}
    features = {name: _feature(type_) for name, type_ in columns.items()}
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})


def _feature(column: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(column):
        return {"feature": _feature(column.value_type), "_type": "List"}
    return {"dtype": str(column), "_type": "Value"}
