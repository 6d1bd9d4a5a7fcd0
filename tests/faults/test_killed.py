"""Killed anywhere, a run leaves nothing that the next one does not mend.

What fails prints its seed: with it in NER_FAULTS_SEED the same kills are drawn again.
"""

import os
from contextlib import nullcontext
from random import Random, SystemRandom

import pytest

from tests.faults.killing import MLFLOW, OF_A_RUN, draw
from tests.faults.rounds import Round
from tests.pipelines import mlflow_server

SEED = os.environ.get("NER_FAULTS_SEED")


@pytest.mark.slow
def test_eight_kills(two, forked, tmp_path_factory) -> None:
    """Four runs are killed in a project before one is let through."""
    seed = SEED or "1"
    random, landed = Random(seed), 0  # noqa: S311
    while landed < 8:
        project = two.copy(tmp_path_factory.mktemp("disturbed"))
        disturbed = Round(forked, project, two.dvc_lock)
        with disturbed.told(seed):
            landed += sum(disturbed.disturb(draw(random, OF_A_RUN)) for _ in range(4))
            disturbed.complete()


@pytest.mark.faults
@pytest.mark.timeout(5400)
def test_many_kills(five, forked, empty_mlflow, tmp_path_factory, monkeypatch, capsys) -> None:
    """One in a project, of MLflow's server too, and the next run completes."""
    seed = SEED or SystemRandom().randrange(10**6)
    random, landed = Random(seed), 0  # noqa: S311
    while landed < int(os.environ.get("NER_FAULTS_KILLS", "44")):
        project = five.copy(tmp_path_factory.mktemp("disturbed"))
        kill = draw(random, (*OF_A_RUN, MLFLOW))
        served, env = nullcontext(), {}
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        if kill.victim == MLFLOW:
            url = mlflow_server.prepare(project.parent / "mlflow", empty_mlflow)
            served = mlflow_server.serving(project.parent / "mlflow", url)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            env = {"MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        disturbed = Round(forked, project, five.dvc_lock, **env)
        with capsys.disabled(), disturbed.told(seed):
            with served as server:
                landed += disturbed.disturb(kill, server)
            if kill.victim == MLFLOW:  # it is gone: another one, of the same files
                served = mlflow_server.serving(project.parent / "mlflow", url)
            with served:
                disturbed.complete()


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_kills_of_the_real_stages(sample, forked, tmp_path_factory, capsys, monkeypatch) -> None:
    seed = SEED or SystemRandom().randrange(10**6)
    random, landed = Random(seed), 0  # noqa: S311
    monkeypatch.setattr(Round, "run_s", 60.0)
    while landed < int(os.environ.get("NER_FAULTS_REAL_KILLS", "6")):
        project = sample.copy(tmp_path_factory.mktemp("disturbed"))
        disturbed = Round(forked, project, sample.dvc_lock)
        with capsys.disabled(), disturbed.told(seed):
            landed += sum(disturbed.disturb(draw(random, OF_A_RUN)) for _ in range(2))
            disturbed.complete()
