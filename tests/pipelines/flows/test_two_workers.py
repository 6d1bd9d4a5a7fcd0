"""Two machines' workers of one work pool, with a common Prefect, MLflow and DVC remote."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipelines.flows import gpu_slot
from pipelines.names import MODEL
from tests.pipelines import done, mlflow_server, standin
from tests.pipelines.flows.deployed import Deployed, deploy, until
from tests.pipelines.logged import runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # three servers, two workers, five runs


@pytest.fixture
def machines(tmp_path: Path, empty_mlflow: Path) -> Iterator[list[Deployed]]:
    """A clone for each, as docs/operations.md has it; the second's Git remote is the first."""
    with ExitStack() as stack:
        url = mlflow_server.prepare(tmp_path / "mlflow", empty_mlflow)
        stack.enter_context(mlflow_server.serving(tmp_path / "mlflow", url))
        first = deploy(tmp_path, empty_mlflow)
        stack.callback(first.stop)
        first.env["MLFLOW_TRACKING_URI"] = url
        project = tmp_path / "second"
        standin.git(tmp_path, "clone", "--quiet", str(first.project), str(project))
        second = replace(first, project=project)
        for machine in (first, second):
            (machine.project / "mlflow.db").unlink(missing_ok=True)
            add = ["remote", "add", "--local", "--default", "store"]
            done.call(machine.project, *add, str(tmp_path / "store"))
        stack.callback(lambda: second.worker and stop(second))
        yield [first, second]


@pytest.fixture
def client(machines: list[Deployed]):
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(machines[0].url) as client:
        yield client


def stop(machine: Deployed) -> None:
    assert machine.worker
    machine.worker.terminate()
    machine.worker.wait()
    machine.worker = None


def begin(client, **overrides: dict[str, Any]) -> Any:
    asked = client.read_deployment_by_name("train-on-demand/train-on-demand")
    parameters = {"overrides": overrides}
    return client.create_flow_run_from_deployment(asked.id, parameters=parameters).id


def end(client, run: Any) -> dict[str, str]:
    """How the run ended, and each of its stages."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    state = until(lambda: client.read_flow_run(run).state, lambda s: s.is_final(), 300)
    assert state.is_completed(), state.message
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    tasks = client.read_task_runs(flow_run_filter=of_run)
    return {"": state.name} | {task.name: task.state.name for task in tasks}


def workspaces(machine: Deployed) -> int:
    return len([*machine.project.glob(".runs/2*")])


def test_what_one_machine_ran_the_other_has(machines: list[Deployed], client) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    first, second = machines
    first.go.touch()
    first.start_worker("--limit", "1")
    assert end(client, begin(client))[""] == "Completed"
    stop(first)
    second.start_worker("--limit", "1")
    assert end(client, begin(client)) == {"": "NothingToDo"}
    assert [workspaces(machine) for machine in machines] == [1, 0]

    # Its cache is empty, and the remote has all but the stage that changed.
    stages = dict.fromkeys(("download", "align", "train", "export"), "Cached")
    ended = end(client, begin(client, evaluate={"errors": 100}))
    assert ended == {"": "Completed", "evaluate": "Completed"} | stages

    first.start_worker("--limit", "1")
    first.go.unlink()
    client.update_global_concurrency_limit(gpu_slot.SLOT, GlobalConcurrencyLimitUpdate(limit=2))
    both = [begin(client, train={"learning_rate": rate}) for rate in (0.001, 0.002)]
    until(
        lambda: client.read_global_concurrency_limit_by_name(gpu_slot.SLOT).active_slots,
        lambda taken: taken == 2,
    )
    assert [workspaces(machine) for machine in machines] == [2, 2]
    first.go.touch()
    for run in both:
        assert end(client, run)["train"] == "Completed"

    mlflow = MlflowClient(first.env["MLFLOW_TRACKING_URI"])
    assert [run.info.status for run in runs(mlflow)] == ["FINISHED"] * 4
    versions = mlflow.search_model_versions(f"name = '{MODEL}'")
    assert sorted(version.version for version in versions) == ["1", "2", "3", "4"]
    shown = [json.loads(m.command("pipelines", "status", "--json")) for m in machines]
    assert shown[0] == shown[1]
