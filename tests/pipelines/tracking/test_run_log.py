"""Logging twice, interrupted, and to a real server."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from pipelines.dvc_repo import lockfile, repro
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.names import MODEL, Logged
from pipelines.promotion.comparison import log_comparison
from pipelines.registry import aliases
from pipelines.registry.registry import Registry
from pipelines.tracking import connection, report_values, run_log
from pipelines.workspaces import workspace
from tests.pipelines import mlflow_server, standin
from tests.pipelines.logged import ARTIFACTS, METRICS, artifacts, runs, versions
from tests.pipelines.standin import closed_port


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, workspace.Workspace]:
    """A dirty project whose stages have run and are not logged yet."""
    project = standin.project(tmp_path_factory.mktemp("done") / "project")
    standin.in_one_stage(project)
    standin.commit(project)
    (project / "notes.txt").write_text("mine")
    made = workspace.create(project, [], dirty=True)
    for stage in dvc_stages.stages(made.path):
        repro.repro(made.path, stage.name, print)
    return project, made


@pytest.mark.slow  # eight seconds; test_flow.py logs too
def test_an_interrupted_log_goes_on_and_a_finished_one_is_kept(done) -> None:
    project, made = done
    connected = connection.check(project)
    client = connected.client
    model, away = made.path / "models" / "onnx", made.path / "away"
    model.rename(away)
    with pytest.raises(PipelineError, match="models/onnx is missing"):
        run_log.log_run(connected, made)
    [interrupted] = runs(client)
    assert "log_complete" not in interrupted.data.tags
    shutil.move(away, model)

    logged = run_log.log_run(connected, replace(made, prefect_run_id="prefect-id"))
    [run] = runs(client)
    assert logged == Logged(run.info.run_id, MODEL, "1", already_logged=False)
    assert run.info.run_id == interrupted.info.run_id
    assert run.data.tags["dirty"] == "true"
    assert run.data.tags["prefect_run_id"] == "prefect-id"
    assert run.data.tags["data_warnings"] == "2 texts of test are empty; delete them"
    diff = Path(client.download_artifacts(run.info.run_id, "dirty.diff"))
    assert diff.read_text() == made.dirty_diff == "# untracked: notes.txt\n"

    again = run_log.log_run(connected, made)
    assert again == Logged(run.info.run_id, MODEL, "1", already_logged=True)
    assert versions(client) == ["1"]

    # Killed before it had registered, and in another model's files.
    client.delete_model_version(MODEL, "1")
    client.delete_tag(run.info.run_id, "log_complete")
    client.create_logged_model(run.info.experiment_id, source_run_id=run.info.run_id)
    last = run_log.log_run(connected, made)
    assert last.already_logged is False
    [model] = client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == last.run_id
    assert [r.info.run_id for r in runs(client)] == [last.run_id]
    assert versions(client) == [last.version]
    assert aliases.by_alias(Registry(client, MODEL), "challenger") == last.version

    # A version that someone deleted comes back, without a second run.
    client.delete_model_version(MODEL, last.version)
    back = run_log.log_run(connected, made)
    assert (back.run_id, back.already_logged) == (last.run_id, True)
    assert versions(client) == [back.version]


def test_of_two_values_with_one_name_and_step_the_last_is_logged(copied: Path) -> None:
    """Two samples in the first second; a column that is called as a figure is, in step 0."""
    made = workspace.find(copied, workspace.all_of(copied)[0].name)
    lock = made.path / "dvc.lock"
    lock.write_text(lock.read_text().replace("python stage.py export", "python other"))
    (made.path / ".measured" / "system.csv").write_text("step,memory\n0,1.5\n0,2.5\n1,3.5\n")
    report = made.path / "reports" / "train.csv"
    report.unlink()  # a link into the cache
    report.write_text("step,loss,best_step\n0,0.5,7\n0,0.75,\n1,0.25,\n")
    logged = run_log.log_run(connection.check(copied), made)
    client = connection.connect(copied)
    found = {
        name: sorted((m.step, m.value) for m in client.get_metric_history(logged.run_id, name))
        for name in ("system/memory", "train/loss", "train/best_step")
    }
    assert found == {
        "system/memory": [(0, 2.5), (1, 3.5)],
        "train/loss": [(0, 0.75), (1, 0.25)],
        "train/best_step": [(0, 7)],
    }


def test_a_result_is_known_by_what_its_dvc_lock_says(tmp_path: Path) -> None:
    lock = {"schema": "2.0", "stages": {"b": {"cmd": "x"}, "a": {"cmd": "y"}}}
    for name, sort_keys, values in (
        ("one", True, lock),
        ("two", False, lock),
        ("other", True, {**lock, "schema": "3"}),
    ):
        (tmp_path / name).write_text(yaml.safe_dump(values, sort_keys=sort_keys))
    assert lockfile.sha256(tmp_path / "one") == lockfile.sha256(tmp_path / "two")
    assert lockfile.sha256(tmp_path / "one") != lockfile.sha256(tmp_path / "other")


def test_a_report_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "align.json").write_text("{")
    with pytest.raises(PipelineError, match=r"align\.json is not JSON"):
        report_values.leaves({"reports/align.json": tmp_path / "align.json"})


@pytest.mark.slow  # 11 s: MLflow's own server
def test_a_server_named_by_mlflow_tracking_uri_takes_it_all(
    done, empty_mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, made = done
    before = (project / "mlflow.db").read_bytes() if (project / "mlflow.db").exists() else None
    url = mlflow_server.prepare(tmp_path, empty_mlflow)
    monkeypatch.setenv("NER_IMAGE", "sha256:0123")
    with mlflow_server.serving(tmp_path, url):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        connected = connection.check(project)
        logged = run_log.log_run(connected, made)
        client = MlflowClient(url)
        run = client.get_run(logged.run_id)
        assert run.data.metrics == METRICS
        assert run.data.tags["image"] == "sha256:0123"
        assert artifacts(client, logged.run_id) == ARTIFACTS | {"dirty.diff"}
        assert (tmp_path / "artifacts").is_dir()
        assert aliases.by_alias(Registry(client, MODEL), "challenger") == logged.version == "1"
        page = f"{url}/#/experiments/{run.info.experiment_id}/runs/{logged.run_id}"
        view = "?workflowType=machine_learning"
        assert run_log.page(connected, logged) == page + view
        assert run_log.report(connected, logged) == f"{page}/artifacts/reports/index.html{view}"
        version = client.get_model_version(MODEL, logged.version)
        for html in ("<p>of before", "<p>比较"):
            place = log_comparison(project, version, html)
        assert place == f"{page}/artifacts/comparison.html{view}"
        kept = client.download_artifacts(logged.run_id, "comparison.html", str(tmp_path))
        assert Path(kept).read_text(encoding="utf-8") == "<p>比较"
    after = (project / "mlflow.db").read_bytes() if (project / "mlflow.db").exists() else None
    assert after == before


def test_a_server_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with pytest.raises(PipelineError, match=f"^MLflow at {url} cannot be used"):
        connection.check(tmp_path)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
