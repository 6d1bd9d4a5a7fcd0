"""Killed and started again, train gives the same bytes as if nothing had happened."""

import shutil
import signal

import pytest

import stages.training.tagging
from stages.train import train
from tests.stage_process import files
from tests.tiny import write_params


def same_as(tiny, path):
    ours = files(path)
    for name, content in files(tiny.path).items():
        if name.startswith("models/ner/") or name in ("reports/train.json", "reports/train.csv"):
            assert ours[name] == content, name
    return True


def test_killed_at_any_step_it_comes_to_the_same_weights_and_curve(tiny, forks, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    write_params(work, checkpoint_minutes=1e-9)
    shutil.copytree(tiny.path / "data", work / "data")

    def newest():
        return max([int(path.name[:8]) for path in work.glob(".checkpoints/*/*.pt")], default=0)

    steps = []
    for how, step, code in (("SIGKILL", 1, -9), ("SIGTERM", 14, 143), ("SIGKILL", 27, -9)):
        run = forks.start("train", work)
        ended = run.end(signal.Signals[how], lambda step=step: newest() >= step)
        assert ended == code, run.printed
        assert resumed(run) == steps[-1:]
        steps.append(newest())
    run = forks.start("train", work)
    assert run.wait() == 0, run.printed
    assert resumed(run) == steps[-1:]
    assert 1 <= steps[0] < steps[1] < steps[2] < tiny.json("train.json")["steps_run"]
    assert same_as(tiny, work)
    assert list((work / ".checkpoints").iterdir()) == []


def resumed(run):
    """The step after which that run went on; none for a run from the beginning."""
    lines = [line for line in run.printed.splitlines() if line.startswith("resuming after step ")]
    return [int(line.split()[3][:-1]) for line in lines]


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
