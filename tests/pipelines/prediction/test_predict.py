"""`python -m pipelines predict` with the tiny model: what it takes and gives."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.errors import PipelineError
from pipelines.names import MODEL
from pipelines.prediction.predict import Wanted, predict
from stages.onnx_export.session import has_cuda
from tests.pipelines.prediction.predicting import check, read, write
from tests.pipelines.standin import clean_environment, pipelines


@pytest.mark.parametrize("name", ["in.txt", "in.jsonl", "in.csv", "in.tsv", "in.parquet"])
def test_rows_of_a_file_come_out_in_order(answer, expected, tmp_path, capsys, name):
    source = write(tmp_path / name, expected)
    answer(source=source)
    check([json.loads(line) for line in capsys.readouterr().out.splitlines()], expected)
    answer(source=source, output=tmp_path / "out.jsonl")
    check(read(tmp_path / "out.jsonl"), expected)
    answer(source=source, output=tmp_path / "out.parquet")
    check(pq.read_table(tmp_path / "out.parquet").to_pylist(), expected)
    assert {p.name for p in tmp_path.iterdir()} == {name, "out.jsonl", "out.parquet"}
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        f"Wrote {tmp_path}/out.parquet: {len(expected)} rows, 0 of the new ones with an error"
        in said.err
    )


def test_lines_of_standard_input_and_a_closed_pipe(
    registered, answer, expected, monkeypatch, capsys
):
    command = [sys.executable, "-m", "pipelines", "predict", "-", "--batch-size", "1"]
    given = {"cwd": registered, "env": clean_environment() | {"NER_REQUIRE_CUDA": "0"}}
    text = "\n".join(expected)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    answer(["-"], batch_size=1)
    check(list(map(json.loads, capsys.readouterr().out.splitlines())), expected)
    head, pipe = subprocess.PIPE, {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **given, **pipe, stdout=head) as process:
        process.stdout.close()
        said = process.communicate(text.encode())[1].decode()
    assert process.returncode == 128 + signal.SIGPIPE
    assert said.splitlines() == ["Using version 1 of msra-ner, the champion"]


def test_a_call_that_cannot_work_says_why_before_a_model_is_loaded(project, tmp_path):
    write(tmp_path / "in.parquet", ["a"])
    (tmp_path / "broken.parquet").write_text("broken")
    (tmp_path / "array.json").write_text('\n [{"text": "a"}]')
    given, text = {"source": tmp_path / "in.parquet"}, ["a"]
    for words, texts, changes in [
        ("Give texts, or -", [], {}),
        ("Give texts, or -", text, given),
        ("has no column body: give one of id, text with --column", [], given | {"column": "body"}),
        ("is not Parquet", [], {"source": tmp_path / "broken.parquet"}),
        ("array.json begins with \\[, .* jq -c '.\\[\\]'", [], {"source": tmp_path / "array.json"}),
        ("the output must end in .jsonl or .parquet", text, {"output": tmp_path / "out.csv"}),
        ("is also the input", [], given | {"output": tmp_path / "in.parquet"}),
        ("There is no folder", text, {"output": tmp_path / "none" / "out.jsonl"}),
        ("--batch-size is 0", text, {"batch_size": 0}),
    ]:
        options = {"source": None, "output": None, "column": "text", "batch_size": 1} | changes
        with pytest.raises(PipelineError, match=words):
            predict(project, texts, **options, model=Wanted(MODEL), restart=False)
    done = pipelines(project, "predict", "--input", "absent.txt")
    assert (done.returncode, done.stderr) == (1, "There is no file absent.txt: correct --input\n")


@pytest.mark.slow  # five seconds, for a process
def test_a_terminal_of_ascii(registered, expected):
    """As in cron; what was typed is UTF-8 all the same, and what is printed is JSON."""
    texts = [*list(expected)[:3], "😀"]
    done = pipelines(registered, "predict", *texts, LC_ALL="C", PYTHONUTF8="0")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stdout.isascii()
    check(rows, {text: expected.get(text, []) for text in texts})


@pytest.mark.skipif(has_cuda(), reason="there is a GPU")
def test_required_cuda_is_not_replaced_by_the_cpu(registered):
    done = pipelines(registered, "predict", "a", NER_REQUIRE_CUDA="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1].startswith("NER_REQUIRE_CUDA is set and ONNX Runtime")
    assert len(done.stderr.splitlines()) == 2


def test_a_version_runs_by_its_own_code_not_by_that_of_the_project(registered: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.prediction.predict import *\n"
        "load(Path(), Wanted('msra-ner'))\n"
        "print(*[m.__file__ for n, m in sys.modules.items() if n.endswith('.serving.tagger')])\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=registered, env=clean_environment(), capture_output=True, text=True
    )
    assert Path(done.stdout.strip()).is_relative_to(registered), done.stderr
