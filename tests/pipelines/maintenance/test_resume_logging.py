"""An MLflow server that goes away in mid-run: nothing is lost and `log` catches up."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.names import MODEL
from pipelines.registry import aliases
from pipelines.workspaces import run_state, workspace
from tests.pipelines import mlflow_server
from tests.pipelines.logged import (
    ARTIFACTS,
    METRICS,
    OF_FLOWS,
    artifacts,
    not_of_the_machine,
    runs,
)
from tests.pipelines.standin import STAGE_PY, clean_environment, pipelines
from tests.pipelines.workspaces.test_process_group import wait_for

WAIT = """
import time
if sys.argv[1] == "align":
    Path("waiting").touch()
    while not Path("go").exists(): time.sleep(0.05)
"""


@pytest.mark.slow  # 40 s: MLflow's client tries again at each of its calls
def test_log_completes_a_run_whose_server_went_away(
    project: Path, tmp_path: Path, empty_mlflow: Path, prefect_url: str
) -> None:
    (project / "stage.py").write_text(STAGE_PY + WAIT)
    url = mlflow_server.prepare(tmp_path / "server", empty_mlflow)
    env = {"MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    with mlflow_server.serving(tmp_path / "server", url):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "run", "--dirty"],
            cwd=project,
            env={**clean_environment(), **env, "PREFECT_API_URL": prefect_url},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: list(project.glob(".runs/2*/waiting")), "the second stage starts", 120)
    [made] = workspace.all_of(project)
    (made / "go").touch()
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 1
    last = said.splitlines()[-1]
    assert last.startswith("All stages are done, but MLflow did not take the result (")
    assert f"in {made}; fix MLflow, then log it with `python -m pipelines log {made.name}`" in last
    assert "Traceback" not in said
    assert run_state.word(made) == "unlogged"

    away = pipelines(project, "log", made.name, **env)
    assert away.returncode == 1
    assert away.stderr.startswith(f"MLflow at {url} cannot be used (")
    with mlflow_server.serving(tmp_path / "server", url):
        done = pipelines(project, "log", made.name, **env)
        assert done.returncode == 0, done.stderr
        client = MlflowClient(url)
        version = client.get_model_version_by_alias(MODEL, aliases.CHALLENGER)
        [run] = runs(client)  # the one that was opened before the server went away
        assert (run.info.run_id, run.info.status) == (version.run_id, "FINISHED")
        logged = f"Run {version.run_id} in MLflow, version 1 of the model"
        assert done.stdout.splitlines()[-1] == logged
        assert not_of_the_machine(run.data.metrics) == METRICS
        assert artifacts(client, version.run_id) == ARTIFACTS | {"dirty.diff"} | OF_FLOWS
        page = f"/flow-runs/flow-run/{run.data.tags['prefect_run_id']}"
        assert run.data.tags["prefect_url"] == prefect_url.removesuffix("/api") + page
        assert run_state.word(made) == "complete"
        assert pipelines(project, "log", made.name[:20], **env).stdout == f"{logged}\n"
