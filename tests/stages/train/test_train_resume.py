"""Killed and started again, train gives the same bytes as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

import stages.training.tagging
from stages.train import train
from tests.conftest import ROOT
from tests.stage_process import files
from tests.tiny import write_params

# Each run is a fork, as torch takes 4 s to import. It ends by a signal when its checkpoint is of
# such a step or a later one, the last by itself.
FORKS = """
import os, signal, sys, time
from pathlib import Path
from stages.train import main

def newest():
    return max([int(path.name[:8]) for path in Path(".checkpoints").glob("*/*.pt")], default=0)

for end in sys.argv[1:]:
    how, _, step = end.partition("@")
    sys.argv = ["train"]
    print("run", newest(), file=sys.stderr, flush=True)
    child = os.fork()
    if child == 0:
        main()
        sys.exit()
    while how != "end" and newest() < int(step):
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it came to its end"
        time.sleep(0.001)
    if how != "end":
        os.kill(child, signal.Signals[how])
    print(how, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr, flush=True)
"""


def same_as(tiny, path):
    ours = files(path)
    for name, content in files(tiny.path).items():
        if name.startswith("models/ner/") or name in ("reports/train.json", "reports/train.csv"):
            assert ours[name] == content, name
    return True


def test_killed_at_any_step_it_comes_to_the_same_weights_and_curve(tiny, tmp_path):
    write_params(tmp_path, checkpoint_minutes=1e-9)
    shutil.copytree(tiny.path / "data", tmp_path / "data")
    ends = ["SIGKILL@1", "SIGTERM@14", "SIGKILL@27", "end"]
    ended = subprocess.run(
        [sys.executable, "-c", FORKS, *ends],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "NER_CHECKPOINTS"}
        | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stderr.splitlines()
    codes = [line for line in said if line.startswith(("SIG", "end"))]
    assert codes == ["SIGKILL -9", "SIGTERM 143", "SIGKILL -9", "end 0"]
    steps = [int(line.split()[1]) for line in said if line.startswith("run ")]
    on = [int(line.split()[3][:-1]) for line in said if line.startswith("resuming after step ")]
    assert on == steps[1:]
    assert 1 <= on[0] < on[1] < on[2] < tiny.json("train.json")["steps_run"]
    assert same_as(tiny, tmp_path)
    assert list((tmp_path / ".checkpoints").iterdir()) == []


@pytest.fixture
def fit(tiny, tmp_path):
    """Trains in this process with checkpoints and changed parameters."""

    def fit(name, **changes):
        return train(
            tiny.params.train.model_copy(update={"checkpoint_minutes": 1e-9} | changes),
            tiny.aligned,
            tiny.encoder,
            tmp_path / name / "models/ner",
            tmp_path / name / "reports/train.json",
            tmp_path / name / "reports/train.csv",
            tmp_path / "shared",
        )

    return fit


@pytest.mark.usefixtures("one_thread")
def test_terminated_in_an_evaluation_it_goes_on_with_that_evaluation(
    tiny, fit, tmp_path, monkeypatch, capsys
):
    predict = stages.training.tagging.predict

    def terminated(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return predict(*arguments)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(stages.training.tagging, "predict", terminated)
        with pytest.raises(SystemExit) as end:
            fit("first")
    assert end.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert files(tmp_path / "first") == {}
    [kept] = (tmp_path / "shared").glob("*/*.pt")
    assert kept.name.startswith("00000005-")
    # Another seed is another result: that checkpoint is not its own, and stays.
    assert fit("other", seed=3, epochs=1)["resumed_after_step"] == 0
    said = capsys.readouterr().err
    assert f"{tmp_path / 'shared'} has checkpoints, but of other parameters, data or code\n" in said
    assert [*(tmp_path / "shared").glob("*/*.pt")] == [kept]
    assert fit("second")["resumed_after_step"] == 5
    assert same_as(tiny, tmp_path / "second")
    assert list((tmp_path / "shared").iterdir()) == []
