import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

START = """
import signal
import sys
from pathlib import Path
from stages.contract.command import command
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.params.params import Evaluate

def stage(params):
    {body}

command(Evaluate, stage, "Does something.")
"""


@pytest.fixture
def start(tmp_path):
    """A stage with this body as a process of its own, beside the params.yaml of the repository."""
    shutil.copy(ROOT / "params.yaml", tmp_path)

    def start(body, *arguments, before=""):
        code = before + START.format(body=body.replace("\n", "\n    "))
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return start


@pytest.fixture
def run(start):
    def run(*arguments, **options):
        with start(*arguments, **options) as process:
            stdout, stderr = process.communicate()
        return process.returncode, stdout, stderr

    return run


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_any_terminal(run, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    body = "print('\\U0001f600')\nraise StageError('\\U0001f600')"
    escaped = "\\ud83d\\ude00\n"
    assert run(body) == (1, escaped, f"evaluate: {escaped}")


@pytest.fixture
def files(tmp_path):
    """What stands there, but for params.yaml."""

    def files():
        return {
            str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8")
            for path in tmp_path.rglob("*")
            if path.is_file() and path.name != "params.yaml"
        }

    return files


def test_measured(run, files):
    assert run('return {"errors": params.errors, "mirror": "镜"}') == (0, "", "")
    [(name, text)] = files().items()
    assert name == ".measured/evaluate.json"
    measured = json.loads(text)
    assert 0 <= measured.pop("seconds") < 60
    assert measured == {
        "host": platform.node(),
        "python": platform.python_version(),
        "errors": 200,
        "mirror": "镜",
    }


def test_measured_in_the_image(run, files, monkeypatch):
    monkeypatch.setenv("NER_IMAGE", "sha256:0123")
    assert run("return {}") == (0, "", "")
    [text] = files().values()
    assert json.loads(text)["image"] == "sha256:0123"


def test_garbage_is_collected_again(run, files):
    """`python -m stages.NAME` begins without that."""
    body = 'return {"collected": gc.isenabled(), "kept": gc.get_freeze_count() > 1000}'
    assert run(body, before="import gc\ngc.disable()\n") == (0, "", "")
    measured = json.loads(files()[".measured/evaluate.json"])
    assert (measured["collected"], measured["kept"]) == (True, True)


def test_none_is_not_written(run, files):
    assert run("return None") == (0, "", "")
    assert files() == {}


def test_a_stage_error_is_one_line(run, files):
    assert run('raise StageError("the 镜 is broken; buy another")') == (
        1,
        "",
        "evaluate: the 镜 is broken; buy another\n",
    )
    assert files() == {}


def test_another_error_keeps_its_traceback(run, files):
    status, _, printed = run("return {}['key']")
    assert status == 1
    assert printed.startswith("Traceback")
    assert printed.endswith("KeyError: 'key'\n")
    assert files() == {}


def test_a_failure_keeps_what_was_measured_before(run, files):
    run("return {}")
    before = files()
    assert run('raise StageError("no")')[0] == 1
    assert files() == before


def test_every_wrong_parameter_on_one_line(run, files, tmp_path):
    params = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    params = params.replace("errors: 200", "errors: -1").replace(" length_bins", " bins")
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    status, stdout, printed = run("return {}")
    assert (status, stdout) == (1, "")
    assert re.sub(r"line \d+: ", "", printed) == (
        "evaluate: params.yaml: evaluate.errors: Input should be greater than 0 (it is -1);"
        " evaluate.length_bins: Field required;"
        " evaluate.bins: there is no such key (it is [1, 2, 3, 4, 5, 7, 10, 15])\n"
    )
    assert files() == {}


def test_no_params(run, tmp_path):
    (tmp_path / "params.yaml").unlink()
    assert run("return {}") == (
        1,
        "",
        "evaluate: params.yaml not found: run in the folder that contains it\n",
    )


def test_help(run, files):
    status, printed, stderr = run("return {}", "--help")
    assert (status, stderr) == (0, "")
    assert printed.startswith("usage: python -m stages.evaluate [-h]\n\nDoes something.\n")
    status, _, printed = run("return {}", "--device=cpu")
    assert status == 2
    assert printed.endswith("error: unrecognized arguments: --device=cpu\n")
    assert files() == {}


WAITING = """
with whole(Path("data/out"), Path("report")) as [folder, file]:
    folder.mkdir()
    (folder / "half").touch()
    print("ready", flush=True)
    while True:
        signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(start, run, files, number):
    run('with whole(Path("report")) as [file]:\n    file.write_text("old")\nreturn {}')
    before = files()
    assert set(before) == {"report", ".measured/evaluate.json"}
    with start(WAITING) as process:
        assert process.stdout.readline() == "ready\n"
        assert set(files()) - set(before) == {"data/.out.partial/half"}
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert process.stderr.read() == ""
    assert files() == before
