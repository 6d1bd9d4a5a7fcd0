"""prefect.yaml on a real server with a real worker: schedule, overlap, GPU slot, dead worker."""

import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from pipelines.flows import gpu_slot, worker_output
from pipelines.tracking import connection
from tests.pipelines.flows.deployed import Deployed, deploy, until
from tests.pipelines.logged import runs
from tests.pipelines.standin import commit, git
from tests.pipelines.workspaces.test_process_group import gone, wait_for

# The floors are those of the real job, and the stand-in's F1 is 0.5.
NOT_PROMOTED = ("FAILED", "NotPromoted")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path):
    made = deploy(tmp_path_factory.mktemp("deployed"), empty_mlflow)
    yield made
    made.stop()


@pytest.fixture
def working(deployed: Deployed) -> Deployed:
    """With its worker, which takes seconds to start."""
    if deployed.worker is None:
        deployed.start_worker()
    return deployed


@pytest.fixture
def client(deployed: Deployed):
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(deployed.url) as client:
        yield client


@pytest.fixture
def retrain(client):
    return client.read_deployment_by_name("retrain/retrain")


def ended(client, run_id, deadline_s: float = 180):
    return until(lambda: client.read_flow_run(run_id).state, lambda s: s.is_final(), deadline_s)


def running(client, run_id):
    return until(lambda: client.read_flow_run(run_id).state, lambda s: s.is_running())


def held(client) -> int:
    return client.read_global_concurrency_limit_by_name(gpu_slot.SLOT).active_slots


def trains(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[-2:] == ["stage.py", "train"]
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def train_anew(deployed: Deployed) -> None:
    """Lets `train` wait for `go` in the next run of main, whatever ran before."""
    deployed.go.unlink(missing_ok=True)
    params = deployed.project / "params.yaml"
    text = re.sub(
        r"(train:\n(?:  .*\n)*?  seed: )(\d+)",
        lambda found: f"{found[1]}{int(found[2]) + 1}",
        params.read_text(),
    )
    params.write_text(text)
    commit(deployed.project)


def runs_of(client, deployment) -> list:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    wanted = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    return client.read_flow_runs(deployment_filter=wanted)


@pytest.mark.slow  # a minute on two calm cores, three at a load of 17
def test_a_schedule_fires_a_second_run_is_cancelled_and_a_third_waits_for_the_gpu(
    working: Deployed, client, retrain
) -> None:
    from prefect.client.schemas.schedules import IntervalSchedule

    train_anew(working)
    until(lambda: held(client), lambda slots: slots == 0, 150)
    soon = datetime.now(UTC) + timedelta(seconds=5)
    # Again soon after, for Prefect plans no run for a time that is past when it comes to look.
    often = IntervalSchedule(interval=timedelta(seconds=20), anchor_date=soon)
    [made] = client.create_deployment_schedules(retrain.id, [(often, True)])
    try:
        [run] = until(
            lambda: [r for r in runs_of(client, retrain) if r.state.is_running()],
            lambda found: found,
        )
        assert run.auto_scheduled
        assert run.expected_start_time >= soon - timedelta(seconds=1)
    finally:
        client.delete_deployment_schedule(retrain.id, made.id)
    until(lambda: held(client), lambda slots: slots == 1)
    second = client.create_flow_run_from_deployment(retrain.id)
    state = ended(client, second.id)
    assert (state.name, state.message) == ("Cancelled", "Deployment concurrency limit reached.")
    on_demand = client.read_deployment_by_name("train-on-demand/train-on-demand")
    third = client.create_flow_run_from_deployment(on_demand.id, parameters={"wait_minutes": 0.02})
    state = ended(client, third.id)
    assert state.is_failed()
    name = client.read_flow_run(run.id).name  # its workspace's, which it had not at first
    assert state.message == (
        f"The GPU slot was not free within 0.02 minutes. Running: {name}. Start this run again"
        " later, or with a larger wait_minutes"
    )
    working.go.touch()
    state = ended(client, run.id)
    assert (state.type.value, state.name) == NOT_PROMOTED, state.message
    assert "f1: 0.5000 < 0.93" in state.message
    assert held(client) == 0
    [logged] = [
        found
        for found in runs(connection.connect(working.project))
        if found.data.tags["prefect_run_id"] == str(run.id)
    ]
    assert logged.data.tags["commit"] == git(working.project, "rev-parse", "main").strip()
    assert git(working.project, "status", "--porcelain") == ""


def test_setup_and_deploy_again_change_nothing(deployed: Deployed, client, retrain) -> None:
    said = deployed.command("pipelines", "setup", "--heartbeat-s", "30")
    assert said.splitlines() == [
        "Work pool msra-ner (type process, a heartbeat every 30 s): unchanged",
        "Global concurrency limit msra-ner-gpu: 1",
        "Automation 'msra-ner: crash zombie runs' (after 90 s of silence): unchanged",
    ]
    assert retrain.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert retrain.global_concurrency_limit.limit == 1
    [schedule] = [s.schedule for s in retrain.schedules if hasattr(s.schedule, "cron")]
    assert (schedule.cron, schedule.timezone) == ("0 3 * * 1", "Europe/Berlin")
    assert str(deployed.project) not in str(retrain.pull_steps)


def test_every_parameter_is_a_field_of_the_form_with_checks(client) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    on_demand = client.read_deployment_by_name("train-on-demand/train-on-demand")
    fields = on_demand.parameter_openapi_schema["properties"]
    assert {name: field["type"] for name, field in fields.items()} == {
        "ref": "string", "overrides": "object", "promote": "boolean", "wait_minutes": "number",
        "force": "boolean",
    }  # fmt: skip
    assert all(field["description"] for field in fields.values())
    assert fields["wait_minutes"]["exclusiveMinimum"] == 0
    assert set(on_demand.parameters) == set(fields)
    for wrong in ({"wait_minutes": -1}, {"ref": "--upload-pack=x"}, {"overrides": {"train": 1}}):
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            client.create_flow_run_from_deployment(on_demand.id, parameters=wrong)


@pytest.mark.slow
def test_a_run_on_demand_with_gates_that_it_passes_becomes_the_champion(
    working: Deployed, client
) -> None:
    until(lambda: held(client), lambda slots: slots == 0, 150)
    working.go.touch()
    on_demand = client.read_deployment_by_name("train-on-demand/train-on-demand")
    floor = {"f1_min": 0.5, "type_f1_min": {"PER": 0.5, "ORG": 0.5, "LOC": 0.5}}
    overrides = {"promote": {**floor, "require_cuda": False}, "train": {"learning_rate": 0.001}}
    given = {"overrides": overrides, "promote": True}
    run = client.create_flow_run_from_deployment(on_demand.id, parameters=given)
    state = ended(client, run.id)
    assert (state.type.value, state.name) == ("COMPLETED", "Promoted"), state.message
    champion = connection.connect(working.project).get_model_version_by_alias(
        "msra-ner", "champion"
    )
    said, where = state.message.splitlines()
    assert said == f"msra-ner version {champion.version} is the champion"
    assert where.startswith("Comparison: ")
    assert where.endswith("/comparison.html")
    assert champion.tags["gate.f1"] == "passed 0.5000 >= 0.5"


def training(working: Deployed) -> list[psutil.Process]:
    """All processes below the worker, as soon as one of them trains."""
    worker = psutil.Process(working.worker.pid)
    wait_for(lambda: any(map(trains, worker.children(recursive=True))), "train runs", 120)
    return worker.children(recursive=True)


@pytest.mark.slow  # two runs by two workers
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_outlives_its_worker_or_its_end_is_known_at_once(
    working: Deployed, client, retrain, way: signal.Signals
) -> None:
    train_anew(working)
    until(lambda: held(client), lambda slots: slots == 0, 150)
    run = client.create_flow_run_from_deployment(retrain.id)
    training(working)
    working.worker.send_signal(way)  # an orderly end of the worker kills its runs
    working.worker.wait()
    if way == signal.SIGKILL:
        assert client.read_flow_run(run.id).state.is_running()
        working.go.touch()
    state = ended(client, run.id, 60)
    if way == signal.SIGKILL:
        assert (state.type.value, state.name) == NOT_PROMOTED, state.message
    else:
        assert (state.name, state.message) == ("Crashed", worker_output.KILLED)
    working.start_worker()


@pytest.mark.slow  # Prefect sends no heartbeat more often than each 30 s, and three are awaited
def test_a_killed_worker_does_not_block_the_next_run(working: Deployed, client, retrain) -> None:
    train_anew(working)
    until(lambda: held(client), lambda slots: slots == 0, 150)
    run = client.create_flow_run_from_deployment(retrain.id)
    below = training(working)
    working.worker.kill()
    # The run would go on to its end; this is the death of the host.
    for process in below:
        if not gone(process.pid):
            process.kill()
    working.worker.wait()
    assert client.read_flow_run(run.id).state.is_running()
    working.start_worker()
    state = ended(client, run.id)
    assert (state.name, state.message) == (
        "Crashed",
        "No heartbeat for 90 s: the worker or its host died",
    )
    working.go.touch()
    after = client.create_flow_run_from_deployment(retrain.id)
    state = ended(client, after.id, 300)
    assert (state.type.value, state.name) == NOT_PROMOTED, state.message
