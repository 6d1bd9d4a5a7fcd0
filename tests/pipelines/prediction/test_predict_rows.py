"""Rows of `python -m pipelines predict` that are no texts, or long ones."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.prediction.predicting import read, spans


def test_what_is_no_text_has_an_error_in_its_row(answer, tmp_path):
    lines = [
        b'{"text": null}',
        b'{"text": NaN}',
        b'{"text": 3}',
        b'{"text": ["\xe5\x8c\x97"]}',
        b'{"text": "\\ud83d"}',
        b'{"other": "a"}',
        b'{"text": ',
        b"\xff",
        b"[1]",
        b"[" * 100_000,
        b"",
        b'{"text": "' + b"x" * (2**20 + 1) + b'"}',
        b'{"text": [' + b"1," * 2**20 + b"1]}",
        b" " * (2**24 + 5),
        b'"\xf0\x9f\x98\x80"',
        b'{"text": ""}\r',
        b'{"text": "a"}',
    ]
    errors = [
        "text is null",
        "text is null",
        "text must be a string, it is a number",
        "text must be a string, it is a list",
        "text has half of a surrogate pair at 0, which is no character",
        "line has no key text",
        "line is not JSON: Expecting value",
        "line is not JSON: 'utf-8' codec",
        "line must be an object or a string, not list",
        "line is not JSON: maximum recursion depth",
        "line is not JSON: Expecting value",
        "text has 1048577 characters, 1048576 are allowed: split it",
        "text must be a string; this line has 2097165 bytes",
        "line has more than 16777216 bytes",
        *[None] * 3,
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    for output in ("out.jsonl", "out.parquet"):
        answer(source=tmp_path / "in.jsonl", output=tmp_path / output)
    rows = read(tmp_path / "out.jsonl")
    assert len(rows) == len(lines)
    for row, error in zip(rows, errors, strict=True):
        assert (row["error"] or "").startswith(error or "")
        assert (row["error"] is None) == (error is None)
    assert [row["text"] for row in rows[:5]] == [None, None, 3, ["北"], "\ud83d"]
    assert [row["text"] for row in rows[-3:]] == ["😀", "", "a"]
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["error"] for row in table] == [row["error"] for row in rows]
    assert [row["text"] for row in table[:5]] == [None, None, None, None, "?"]


def test_text_that_is_not_utf8_is_named(answer, tmp_path):
    (tmp_path / "in.txt").write_bytes("\ufeff李\r\n\n".encode() + "北京".encode("gbk") + b"\na\xff")
    answer(source=tmp_path / "in.txt", output=tmp_path / "out.jsonl")
    rows = read(tmp_path / "out.jsonl")
    assert [row["text"] for row in rows] == ["李", "", "\udcb1\udcb1\udcbe\udca9", "a\udcff"]
    assert [row["error"] for row in rows] == [
        None,
        None,
        "text is not UTF-8: byte 0xb1 at 0",
        "text is not UTF-8: byte 0xff at 1",
    ]


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        (pa.array(["a", None, "b"]).dictionary_encode(), [None, "text is null", None]),
        (pa.array([1, None]), ["text must be a string, it is a number", "text is null"]),
        (pa.array([1.5, float("nan")]), ["text must be a string, it is a number", "text is null"]),
        (pa.array([["a"]]), ["text must be a string, it is a list"]),
        (pa.array([b"\xff"]).view(pa.string()), ["text is not UTF-8: byte 0xff at 0"]),
        (pa.array([0]).cast(pa.timestamp("s")), ["text must be a string, it is Timestamp"]),
        (pa.array([], pa.string()), []),
    ],
)
def test_columns_of_any_type(answer, tmp_path, values, errors):
    pq.write_table(pa.table({"body": values}), tmp_path / "in.parquet")
    answer(source=tmp_path / "in.parquet", column="body", output=tmp_path / "out.jsonl")
    assert [row["error"] for row in read(tmp_path / "out.jsonl")] == errors


@pytest.mark.slow
def test_a_line_of_a_megabyte(answer, expected, tmp_path):
    text, found = next(iter(expected.items()))
    long = text + "，" + "今天没有新闻，" * (2**20 // 21)
    assert len(long.encode()) > 2**20 - 21
    (tmp_path / "in.txt").write_text(f"{long}\n{text}\n", encoding="utf-8")
    answer(source=tmp_path / "in.txt", output=tmp_path / "out.jsonl")
    rows = read(tmp_path / "out.jsonl")
    assert [row["error"] for row in rows] == [None, None]
    assert spans(rows[1]) == found
    assert spans(rows[0])[: len(found)] == found
