"""`python -m pipelines predict` with the tiny model: what it takes and gives."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import PipelineError
from pipelines.predict import predict
from stages.ner.session import has_cuda
from stages.ner.tagger import Tagger
from tests.invented import text_of
from tests.pipelines.standin import clean_environment, pipelines

ROWS = 7  # a batch of 3 is then not the last one


@pytest.fixture(scope="module")
def expected(tiny) -> dict[str, list[tuple[str, int, int]]]:
    """Texts and what the tagger finds in them."""
    texts = [text_of(sentence) for sentence in tiny.test[2:40]]
    found = Tagger(tiny.onnx, cpu_threads=1)(texts)
    spans = ([(e.type, e.start, e.end) for e in entities] for entities in found)
    several = {text: row for text, row in zip(texts, spans, strict=True) if row}
    assert len(several) > ROWS
    return dict(list(several.items())[:ROWS])


@pytest.fixture
def run(registered):
    def run(texts=(), source=None, output=None, column="text", batch_size=3, restart=False):
        predict(registered, list(texts), source, column, output, batch_size, None, restart)

    return run


def spans(row) -> list[tuple[str, int, int]]:
    return [(e["type"], e["start"], e["end"]) for e in row["entities"]]


def check(rows, expected) -> None:
    assert [row["text"] for row in rows] == list(expected)
    assert [spans(row) for row in rows] == list(expected.values())
    assert {row["error"] for row in rows} == {None}
    assert all(row["provider"].endswith("ExecutionProvider") for row in rows)
    assert all(list(row) == ["text", "entities", "error", "provider"] for row in rows)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, texts) -> Path:
    """A file with these rows, in the format of its ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"id": range(len(texts)), "text": list(texts)}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        path.write_text("\n".join(texts), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["in.txt", "in.jsonl", "in.parquet"])
def test_rows_of_a_file_come_out_in_order(run, expected, tmp_path, capsys, name):
    source = write(tmp_path / name, expected)
    run(source=source)
    check([json.loads(line) for line in capsys.readouterr().out.splitlines()], expected)
    run(source=source, output=tmp_path / "out.jsonl")
    check(read(tmp_path / "out.jsonl"), expected)
    run(source=source, output=tmp_path / "out.parquet")
    check(pq.read_table(tmp_path / "out.parquet").to_pylist(), expected)
    assert {p.name for p in tmp_path.iterdir()} == {name, "out.jsonl", "out.parquet"}
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{ROWS} rows in {tmp_path}/out.parquet, new ones with an error: 0" in said.err


def test_lines_of_standard_input_and_a_closed_pipe(registered, expected):
    command = [sys.executable, "-m", "pipelines", "predict", "-", "--batch-size", "1"]
    given = {"cwd": registered, "env": clean_environment() | {"NER_REQUIRE_CUDA": "0"}}
    text = "\n".join(expected)
    done = subprocess.run(command, **given, input=text, capture_output=True, text=True)
    check(list(map(json.loads, done.stdout.splitlines())), expected)
    head, pipe = subprocess.PIPE, {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **given, **pipe, stdout=head) as process:
        process.stdout.close()
        said = process.communicate(text.encode())[1].decode()
    assert process.returncode == 128 + signal.SIGPIPE
    assert said.splitlines() == ["msra-ner version 1, the champion"]


def test_what_is_no_text_has_an_error_in_its_row(run, tmp_path):
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
        "line is neither an object nor a string, it is list",
        "line is not JSON: maximum recursion depth",
        "line is not JSON: Expecting value",
        "text has 1048577 characters, 1048576 are allowed: split it",
        "text must be a string, and not of 2097165 bytes",
        "line has more than 16777216 bytes",
        *[None] * 3,
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    for output in ("out.jsonl", "out.parquet"):
        run(source=tmp_path / "in.jsonl", output=tmp_path / output)
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


def test_text_that_is_not_utf8_is_named(run, tmp_path):
    (tmp_path / "in.txt").write_bytes("\ufeff李\r\n\n".encode() + "北京".encode("gbk") + b"\na\xff")
    run(source=tmp_path / "in.txt", output=tmp_path / "out.jsonl")
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
def test_columns_of_any_type(run, tmp_path, values, errors):
    pq.write_table(pa.table({"body": values}), tmp_path / "in.parquet")
    run(source=tmp_path / "in.parquet", column="body", output=tmp_path / "out.jsonl")
    assert [row["error"] for row in read(tmp_path / "out.jsonl")] == errors


def test_a_call_that_cannot_work_says_why_before_a_model_is_loaded(project, tmp_path):
    write(tmp_path / "in.parquet", ["a"])
    (tmp_path / "broken.parquet").write_text("broken")
    given, text = {"source": tmp_path / "in.parquet"}, ["a"]
    for words, texts, changes in [
        ("Give texts, or -", [], {}),
        ("Give texts, or -", text, given),
        ("has no column body, it has id, text", [], given | {"column": "body"}),
        ("is not Parquet", [], {"source": tmp_path / "broken.parquet"}),
        ("an output ends in .jsonl or .parquet", text, {"output": tmp_path / "out.csv"}),
        ("is the input as well", [], given | {"output": tmp_path / "in.parquet"}),
        ("is no folder", text, {"output": tmp_path / "none" / "out.jsonl"}),
        ("--batch-size is 0", text, {"batch_size": 0}),
    ]:
        options = {"source": None, "output": None, "column": "text", "batch_size": 1} | changes
        with pytest.raises(PipelineError, match=words):
            predict(project, texts, **options, model=None, restart=False)
    done = pipelines(project, "predict", "--input", "absent.txt")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "absent.txt" in done.stderr


@pytest.mark.skipif(has_cuda(), reason="there is a GPU")
def test_required_cuda_is_not_replaced_by_the_cpu(registered):
    done = pipelines(registered, "predict", "a", NER_REQUIRE_CUDA="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1].startswith("NER_REQUIRE_CUDA is set and ONNX Runtime")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.slow
def test_a_line_of_a_megabyte(run, expected, tmp_path):
    text, found = next(iter(expected.items()))
    long = text + "，" + "今天没有新闻，" * (2**20 // 21)
    assert len(long.encode()) > 2**20 - 21
    (tmp_path / "in.txt").write_text(f"{long}\n{text}\n", encoding="utf-8")
    run(source=tmp_path / "in.txt", output=tmp_path / "out.jsonl")
    rows = read(tmp_path / "out.jsonl")
    assert [row["error"] for row in rows] == [None, None]
    assert spans(rows[1]) == found
    assert spans(rows[0])[: len(found)] == found
