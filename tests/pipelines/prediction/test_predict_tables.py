"""CSV and TSV as the input of `predict`: what a row is, and what is refused."""

import tracemalloc
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.prediction.readers import MAX_LINE_BYTES, Row, open_input


def rows(path: Path, column: str = "text") -> list[Row]:
    given = open_input([], path, column)
    found = list(given.rows)
    assert given.total == len(found)
    return found


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.csv", "id,text\n1,李明在北京。\n2,王芳\n", ["李明在北京。", "王芳"]),
        (
            "a.csv",
            '\ufefftext,id\r\n"北京，\n上海",1\r\n"他说""好""",2\r\n',
            ["北京，\n上海", '他说"好"'],
        ),
        ("a.csv", 'text,id\n"a,b",1', ["a,b"]),
        ("a.tsv", 'id\ttext\n1\ta,b\n2\t他说"好"\n', ["a,b", '他说"好"']),
        ("a.csv", "text\n北京\n\n上海\n", ["北京", "", "上海"]),
        ("a.csv", "text\n" + "中" * 1_100_000 + "\n", ["中" * 1_100_000]),
        ("a.csv", "text\n", []),
    ],
)
def test_each_record_is_a_row(tmp_path: Path, name: str, text: str, found: list[str]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert rows(tmp_path / name) == [Row(value) for value in found]


def test_a_row_that_cannot_be_read_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,text\n1\n2," + b"\xff\n" + "3,北京\n".encode())
    short, other, good = rows(tmp_path / "a.csv")
    assert short == Row(None, "row has no column text, it ends after 1")
    assert other.error == "text is not UTF-8: byte 0xff at 0"
    assert good == Row("北京")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.csv",
            "id,review\n1,a\n",
            "no column text; its first line, the header, has id, review: ",
        ),
        (
            "a.csv",
            "李明在北京。\n王芳在上海。\n",
            "header, has 李明在北京。: name one of them with --column, or",
        ),
        ("a.csv", "", "no column text; its first line, the header, has nothing: "),
        ("a.csv", "text,text\na,b\n", "has 2 columns text: rename one"),
        ("a.csv", 'text\na\n"b\nc\n', "a.csv line 4: unexpected end of data: correct the quotes"),
        ("a.csv", "text\n" + "a" * MAX_LINE_BYTES, f"has a line of {MAX_LINE_BYTES} bytes or more"),
        ("a.docx", "a", "a.docx ends in .docx: give a .txt with one text per line, .jsonl, .csv"),
    ],
)
def test_what_is_no_table_is_refused_before_a_row_is_read(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError) as error:
        open_input([], tmp_path / name, "text")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_large_table_is_never_held(tmp_path: Path) -> None:
    line = "1," + "中" * 300 + "\n"
    (tmp_path / "a.csv").write_text("id,text\n" + line * 20_000, encoding="utf-8")
    tracemalloc.start()
    try:
        given = open_input([], tmp_path / "a.csv", "text")
        assert sum(1 for _ in given.rows) == given.total == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
