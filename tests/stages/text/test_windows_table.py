import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.contract.errors import StageError
from stages.text import windows_table
from stages.text.windows_table import read_aligned

ROWS = {
    "sentence": pa.array([0, 0, 1, 2], pa.int32()),
    "cells": pa.array([["a", "b"], [], ["c"], ["d", "e"]]),
    "input_ids": pa.array([[2, 5, 6, 3], [2, 6, 3], [2, 7, 3], [2, 8, 9, 3]], pa.list_(pa.int32())),
    "labels": pa.array(
        [[-100, 1, 2, -100], [-100] * 3, [-100, 0, -100], [-100, 3, 0, -100]], pa.list_(pa.int8())
    ),
}


@pytest.mark.parametrize("row_group_size", [1, 3, 100])
def test_read(tmp_path, row_group_size):
    pq.write_table(pa.table(ROWS), tmp_path / "a.parquet", row_group_size=row_group_size)
    split = read_aligned(tmp_path / "a.parquet")
    assert split.sentence == [0, 0, 1, 2]
    assert split.cells == [["a", "b"], [], ["c"], ["d", "e"]]
    assert [ids.tolist() for ids in split.input_ids] == ROWS["input_ids"].to_pylist()
    assert [row.tolist() for row in split.labels] == ROWS["labels"].to_pylist()
    assert {ids.dtype for ids in split.input_ids} == {np.dtype(np.int32)}
    assert {row.dtype for row in split.labels} == {np.dtype(np.int8)}
    assert [np.flatnonzero(row).tolist() for row in split.scored] == [[1, 2], [], [1], [1, 2]]
    assert split.sentence_cells() == [["a", "b"], ["c"], ["d", "e"]]
    assert [row.tolist() for row in split.sentence_labels()] == [[1, 2], [0], [3, 0]]
    assert split.sentence_meta() == [{}, {}, {}]


def test_what_else_the_corpus_says(tmp_path):
    meta = pa.array(['{"source": "报"}', '{"source": "报"}', "{}", '{"year": 1998}'])
    pq.write_table(pa.table(ROWS | {"meta": meta}), tmp_path / "a.parquet")
    split = read_aligned(tmp_path / "a.parquet")
    assert split.sentence_meta() == [{"source": "报"}, {}, {"year": 1998}]


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 100])
def test_parts_have_whole_sentences(tmp_path, monkeypatch, at_once):
    pq.write_table(pa.table(ROWS), tmp_path / "a.parquet", row_group_size=3)
    monkeypatch.setattr(windows_table, "WINDOWS_AT_ONCE", at_once)
    parts = list(windows_table.read_sentences(tmp_path / "a.parquet"))
    assert len(parts) == 3
    assert {part.sentence[0] for part in parts} == {0}
    cells = [cells for part in parts for cells in part.sentence_cells()]
    labels = [row.tolist() for part in parts for row in part.sentence_labels()]
    ids = [ids.tolist() for part in parts for ids in part.input_ids]
    assert cells == [["a", "b"], ["c"], ["d", "e"]]
    assert labels == [[1, 2], [0], [3, 0]]
    assert ids == ROWS["input_ids"].to_pylist()
    assert windows_table.count_windows(tmp_path / "a.parquet") == 4


def test_missing(tmp_path):
    with pytest.raises(
        StageError, match=re.escape("dev.parquet is not here: run `dvc repro align")
    ):
        read_aligned(tmp_path / "dev.parquet")


def test_reading_does_not_import_pandas(tmp_path):
    """Which would take 40 MB and 0.4 s."""
    pq.write_table(pa.table(ROWS), tmp_path / "a.parquet")
    read = "import sys; from pathlib import Path; from stages.text import windows_table as table;"
    read += "[*table.read_sentences(Path(sys.argv[1]))]; print('pandas' in sys.modules)"
    command = [sys.executable, "-c", read, str(tmp_path / "a.parquet")]
    assert subprocess.check_output(command, cwd=Path(__file__).parents[3]) == b"False\n"
