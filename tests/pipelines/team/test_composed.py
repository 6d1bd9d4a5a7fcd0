"""docker/compose.yaml's services by its own settings, as processes; a flow runs on them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.tracking import connection
from tests.pipelines import done, standin
from tests.pipelines.flows.deployed import until
from tests.pipelines.logged import METRICS, not_of_the_machine, runs
from tests.pipelines.team import composed, team_server
from tests.pipelines.team.composed import Composed

pytestmark = [pytest.mark.services, pytest.mark.timeout(900), team_server.needs_postgres]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = standin.project(tmp_path / "project")
    shutil.copy(standin.ROOT / "prefect.yaml", made)
    (made / "docker").mkdir()
    shutil.copy(standin.ROOT / "docker" / "team", made / "docker")
    done.call(made, "remote", "add", "--local", "--default", "store", "s3://ner-dvc")
    standin.commit(made)
    return made


@pytest.fixture
def team(project: Path, tmp_path: Path) -> Iterator[Composed]:
    composed.make_secrets(project)
    password = (project / ".team" / "secrets" / "postgres-password").read_text()
    with team_server.postgres(tmp_path, password) as database:
        passfile = str(project / ".team" / "secrets" / "pgpass")
        database |= {"PGPASSFILE": passfile}
        team_server.create(database)
        made = Composed(tmp_path, project, database)
        with made.store():
            yield made


def up(stack: ExitStack, team: Composed) -> None:
    for service, health in (("mlflow", "/health"), ("prefect", "/api/health")):
        stack.enter_context(team.running(service, health))
    team.once("setup")
    stack.enter_context(team.running("worker", "/health"))


def test_a_run_goes_through_all_of_it_and_is_there_after_a_restart(
    team: Composed, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from botocore.exceptions import ClientError
    from prefect.client.orchestration import SyncPrefectClient

    for key, value in team.environment("worker").items():
        if key.startswith(("AWS_", "MLFLOW_", "NO_PROXY")):
            monkeypatch.setenv(key, value)
    monkeypatch.setenv(connection.PASSWORD, team.secret("mlflow-worker"))
    client = SyncPrefectClient(f"{team.url('prefect')}/api", auth_string=team.secret("prefect"))
    with ExitStack() as stack:
        up(stack, team)
        [asked] = [d for d in client.read_deployments() if d.name == "train-on-demand"]
        run = client.create_flow_run_from_deployment(asked.id)
        state = until(lambda: client.read_flow_run(run.id).state, lambda s: s.is_final(), 300)
        assert state.is_completed(), state.message
        [logged] = runs(MlflowClient(team.url("mlflow")))
        assert not_of_the_machine(logged.data.metrics) == METRICS
        assert logged.data.tags["prefect_run_id"] == str(run.id)
    artifact = f"{logged.info.experiment_id}/{logged.info.run_id}/artifacts/dvc.lock"
    saved = copied(team, "get")
    assert f"ner-mlflow/{artifact}" in saved
    assert any(key.startswith("ner-dvc/files/md5/") for key in saved)
    (team.folder / "saved" / "ner-dvc" / "another-key").write_text("1")
    copied(team, "put")
    store = boto3.client("s3")
    assert store.head_object(Bucket="ner-dvc", Key="another-key")["ContentLength"] == 1
    if shutil.which("weed"):  # moto lets everybody do everything
        with pytest.raises(ClientError, match="AccessDenied"):
            store.get_object(Bucket="ner-mlflow", Key=artifact)

    with ExitStack() as stack:
        up(stack, team)
        assert client.read_flow_run(run.id).state.is_completed()
        assert client.read_work_pool("msra-ner").type == "process"
        answer = standin.pipelines(  # as who may only read
            project, "predict", "我在北京", **{connection.PASSWORD: team.secret("mlflow-serve")},
            **{k: v for k, v in team.environment("serve").items() if k.startswith("MLFLOW_")},
        )  # fmt: skip
        assert '"start": 2, "end": 4' in answer.stdout, answer.stderr


def copied(team: Composed, way: str) -> set[str]:
    """What is below `saved` after `docker/team` has copied the buckets there, or from there."""
    saved = team.folder / "saved"
    command = [sys.executable, str(standin.ROOT / "docker" / "buckets.py"), way, str(saved)]
    subprocess.run(command, env=team.environment("setup"), check=True)
    return {str(p.relative_to(saved)) for p in saved.rglob("*") if p.is_file()}
