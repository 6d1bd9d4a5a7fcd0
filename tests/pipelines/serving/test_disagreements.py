"""What two versions find differently, and the files that it is kept in."""

import errno
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.serving import disagreements, row_files
from pipelines.serving.disagreements import SCHEMA, differences, read
from pipelines.serving.row_files import RowFiles

TEXT = "李明在北京大学"


def entity(start: int, end: int, type_: str) -> dict:
    return {
        "text": TEXT[start:end], "type": type_, "start": start, "end": end, "score": 0.5,
        "more": "of another version",
    }  # fmt: skip


PER, LOC, ORG = entity(0, 2, "PER"), entity(3, 5, "LOC"), entity(3, 7, "ORG")


def found(champion: list[dict], challenger: list[dict]) -> list[tuple]:
    """Kind, and the types of both."""
    return [
        (each["kind"], *(each[who] and each[who]["type"] for who in ("champion", "challenger")))
        for each in differences(TEXT, champion, challenger)
    ]


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [
        ([PER, LOC], [{**PER, "score": 0.9}, LOC], []),
        ([PER], [], [("missed", "PER", None)]),
        ([LOC], [LOC, PER], [("spurious", None, "PER")]),
        ([LOC], [{**LOC, "type": "ORG"}], [("type", "LOC", "ORG")]),
        ([LOC], [ORG], [("boundary", "LOC", "ORG")]),
        ([ORG], [LOC], [("boundary", "ORG", "LOC")]),
        ([LOC], [entity(2, 4, "LOC")], [("boundary", "LOC", "LOC")]),
        # One entity that became two: each is told once.
        (
            [ORG],
            [LOC, entity(5, 7, "ORG")],
            [("boundary", "ORG", "LOC"), ("boundary", "ORG", "ORG")],
        ),
        (
            [LOC, entity(5, 7, "ORG")],
            [ORG],
            [("boundary", "LOC", "ORG"), ("boundary", "ORG", "ORG")],
        ),
        ([PER], [ORG], [("missed", "PER", None), ("spurious", None, "ORG")]),
    ],
)
def test_each_kind(champion, challenger, expected):
    assert found(champion, challenger) == expected
    assert {kind for kind, *_ in expected} <= disagreements.KINDS.keys()


def row(champion: str, challenger: str, text: str | None) -> dict:
    at = datetime(2026, 11, 30, tzinfo=UTC)
    different = differences(TEXT, [LOC], [ORG]) if text else []
    return {"time": at, "champion": champion, "challenger": challenger, "text": text,
            "differences": different}  # fmt: skip


def test_rows_are_read_as_they_were_written(tmp_path: Path):
    files = RowFiles(tmp_path / "new" / "folder", SCHEMA)
    rows = [row("1", "2", TEXT), row("1", "2", None), row("2", "3", TEXT)]
    for each in rows[:2]:
        files.add(each)
    files.write()
    files.write()
    files.add(rows[2])
    files.write()
    folder = tmp_path / "new" / "folder"
    paths = sorted(folder.iterdir())
    assert [path.suffix for path in paths] == [".parquet", ".parquet"]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(read(folder, "1", "2")) == rows[:2]
    assert list(read(folder, "2", "3")) == rows[2:]
    assert list(read(folder, "1", "3")) == list(read(tmp_path / "none", "1", "2")) == []


def test_a_file_is_due_by_rows_or_by_age_and_the_oldest_goes(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(row_files, "ROWS", 2)
    monkeypatch.setattr(row_files, "FILES", 3)
    files = RowFiles(tmp_path, SCHEMA)
    for number in range(1, 10):
        files.add(row("1", str(number), TEXT))
        files.write_if_due()
        assert len(list(tmp_path.iterdir())) == min(3, number // 2)
    kept = [each for number in range(10) for each in read(tmp_path, "1", str(number))]
    assert [each["challenger"] for each in kept] == ["3", "4", "5", "6", "7", "8"]
    monkeypatch.setattr(row_files, "SECONDS", 0.0)
    newest = max(tmp_path.iterdir())
    monkeypatch.setattr(row_files, "BYTES", newest.stat().st_size * 2.5)
    files.write_if_due()
    assert len(list(read(tmp_path, "1", "9"))) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_another_servers_files_may_go_while_it_counts(tmp_path: Path, monkeypatch, caplog):
    files = RowFiles(tmp_path, SCHEMA)
    there = [tmp_path / f"2026010{day}.partial" for day in (1, 2)]
    monkeypatch.setattr(Path, "glob", lambda *_: iter([*there, *tmp_path.iterdir()]))
    files.add(row("1", "2", TEXT))
    files.write()
    assert caplog.text == ""


def test_what_was_not_written_leaves_no_file(tmp_path: Path, monkeypatch, caplog):
    files = RowFiles(tmp_path, SCHEMA)
    monkeypatch.setattr(row_files.pq, "write_table", full_disk)
    files.add(row("1", "2", TEXT))
    files.write()
    assert "rows were not written" in caplog.text
    assert list(tmp_path.iterdir()) == []


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=re.escape(f"Cannot write to {tmp_path}/file/below (")):
        RowFiles(tmp_path / "file" / "below", SCHEMA)


def test_a_folder_that_is_gone_costs_the_rows_alone(tmp_path: Path, caplog):
    files = RowFiles(tmp_path / "folder", SCHEMA)
    (tmp_path / "folder").rmdir()
    files.add(row("1", "2", TEXT))
    files.write()
    assert "rows were not written" in caplog.text
    (tmp_path / "folder").mkdir()
    files.add(row("1", "3", TEXT))
    files.write()
    assert len(list(read(tmp_path / "folder", "1", "3"))) == 1
    assert list(read(tmp_path / "folder", "1", "2")) == []
