"""The worker of a deployment killed, with or without the runs below it: the next run completes."""

import os
import subprocess
import time
from contextlib import suppress
from random import Random, SystemRandom

import psutil
import pytest

from tests.faults import left
from tests.pipelines.flows.deployed import deploy, until
from tests.pipelines.workspaces.test_process_group import wait_for

RUN_S = 20.0  # of a run by a worker
DEPLOYMENT = "train-on-demand/train-on-demand"


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_kills_of_the_worker(empty_mlflow, tmp_path, monkeypatch, capsys) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    seed = os.environ.get("NER_FAULTS_SEED") or SystemRandom().randrange(10**6)
    random = Random(seed)  # noqa: S311
    monkeypatch.setenv(left.MARK, str(tmp_path / "project"))
    deployed = deploy(tmp_path, empty_mlflow)
    deployed.go.touch()
    try:
        deployed.start_worker()
        with SyncPrefectClient(deployed.url) as client, capsys.disabled():
            deployment = client.read_deployment_by_name(DEPLOYMENT)
            for number in range(int(os.environ.get("NER_FAULTS_WORKER_KILLS", "3"))):
                whole_host, moment = random.random() < 0.5, random.random() * RUN_S
                print(f"NER_FAULTS_SEED={seed}: worker, {whole_host=}, after {moment:.1f} s")
                given = {"overrides": {"train": {"seed": number}}, "wait_minutes": 5}
                first = client.create_flow_run_from_deployment(deployment.id, parameters=given)
                time.sleep(moment)
                state = client.read_flow_run(first.id).state
                kill(deployed.worker, whole_host)
                if state.is_running() and not whole_host:
                    state = until(
                        lambda run=first: client.read_flow_run(run.id).state,
                        lambda state: state.is_final(),
                        600,
                    )
                    assert state.is_completed(), state.message
                deployed.start_worker()
                last = client.create_flow_run_from_deployment(deployment.id, parameters=given)
                state = until(
                    lambda run=last: client.read_flow_run(run.id).state,
                    lambda state: state.is_final(),
                    600,
                )
                assert state.is_completed(), state.message
    finally:
        deployed.stop()
    wait_for(lambda: not left.processes(deployed.project), "no process is left", 60)
    left.registered(deployed.project, number + 1)


def kill(worker: "subprocess.Popen[bytes]", whole_host: bool) -> None:
    """Kills the worker; with `whole_host` all that it started too."""
    below = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    worker.wait()
    for process in below if whole_host else ():
        with suppress(psutil.NoSuchProcess):
            process.kill()
