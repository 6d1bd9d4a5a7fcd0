"""An interrupted `predict --output`, and how little of a file it holds."""

import fcntl
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.prediction.readers import MAX_LINE_BYTES, open_input
from tests.pipelines.prediction.predicting import check, read, write
from tests.pipelines.standin import clean_environment
from tests.pipelines.workspaces.test_process_group import wait_for


@pytest.fixture(scope="module")
def killed_once(registered, expected, tmp_path_factory):
    """What is left of one that was killed after four rows; with half a line."""
    tmp_path = tmp_path_factory.mktemp("killed")
    folder = tmp_path / ".out.jsonl.partial"
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "predict", "-", "--batch-size", "2",
         "--output", str(tmp_path / "out.jsonl")],
        cwd=registered, env=clean_environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write("".join(f"{text}\n" for text in list(expected)[:5]).encode())
    process.stdin.flush()
    rows = folder / "rows.jsonl"
    wait_for(lambda: rows.exists() and rows.read_text().count("\n") == 4, "four rows", 60)
    process.kill()
    process.communicate()
    with rows.open("a", encoding="utf-8") as file:
        file.write('{"text": "')
    assert not (tmp_path / "out.jsonl").exists()
    return folder


@pytest.fixture
def killed(killed_once, tmp_path):
    return Path(shutil.copytree(killed_once, tmp_path / killed_once.name))


@pytest.mark.parametrize("name", ["in.txt", "in.jsonl", "in.csv", "in.parquet"])
def test_it_goes_on_where_it_stopped(answer, expected, tmp_path, killed, capsys, name):
    rows = killed / "rows.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8").replace("score", "kept"), encoding="utf-8")
    answer(source=write(tmp_path / name, expected), output=tmp_path / "out.jsonl")
    assert "Resuming after row 4\n" in capsys.readouterr().err
    made = read(tmp_path / "out.jsonl")
    check(made, expected)
    # What was there has not been computed again.
    assert ["kept" in row["entities"][0] for row in made] == [True] * 4 + [False] * 3
    assert not killed.exists()


def test_parquet_goes_on_as_well(answer, expected, tmp_path, killed, capsys):
    import pyarrow.parquet as pq

    killed.rename(tmp_path / ".out.parquet.partial")
    answer(texts=expected, output=tmp_path / "out.parquet")
    assert "Resuming after row 4\n" in capsys.readouterr().err
    check(pq.read_table(tmp_path / "out.parquet").to_pylist(), expected)
    assert {path.name for path in tmp_path.iterdir()} == {"out.parquet"}


@pytest.mark.parametrize("change", ["another row", "fewer rows"])
def test_a_changed_input_is_refused_or_begun_again(answer, expected, tmp_path, killed, change):
    before = (killed / "rows.jsonl").read_bytes()
    texts = list(expected)
    texts = texts[:2] if change == "fewer rows" else [*texts[:2], "别的", *texts[3:]]
    with pytest.raises(PipelineError, match="Row 3 of the input has changed since") as error:
        answer(texts=texts, output=tmp_path / "out.jsonl")
    assert str(error.value).endswith("give the same input, or --restart to start again")
    assert before.startswith((killed / "rows.jsonl").read_bytes())
    answer(texts=texts, output=tmp_path / "out.jsonl", restart=True)
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == texts


def test_another_model_does_not_go_on(answer, expected, tmp_path, killed):
    (killed / "model").write_text("m-1")
    with pytest.raises(PipelineError, match=r"started with the model m-1.*--model models:/m-1"):
        answer(texts=expected, output=tmp_path / "out.jsonl")


def test_two_at_once_are_refused(answer, tmp_path):
    (tmp_path / ".out.jsonl.partial").mkdir()
    with (tmp_path / ".out.jsonl.partial/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PipelineError, match="Another process is writing"):
            answer(texts=["a"], output=tmp_path / "out.jsonl")


def test_what_stood_there_stays_until_the_new_one_is_whole(answer, expected, tmp_path):
    (tmp_path / "out.jsonl").write_text("the last one")

    def texts():
        yield from expected
        assert (tmp_path / "out.jsonl").read_text() == "the last one"

    answer(texts=texts(), output=tmp_path / "out.jsonl")
    check(read(tmp_path / "out.jsonl"), expected)


@pytest.mark.parametrize("name", ["in.txt", "in.jsonl"])
def test_a_file_of_gigabytes_is_never_held(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.write(b'"a"\n')
        file.truncate(6 * MAX_LINE_BYTES)  # sparse: one line of 96 MiB, and then some
        file.seek(0, 2)
        file.write(b'\n"b"\n' + b'"ccccccccccccccc"\n' * 50_000)
    tracemalloc.start()
    try:
        given = open_input([], tmp_path / name, "text")
        rows = sum(1 for _ in given.rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == given.total == 50_003
    assert peak < 4 * MAX_LINE_BYTES
