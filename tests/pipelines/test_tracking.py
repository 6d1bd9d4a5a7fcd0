"""What a run leaves in a real SQLite MLflow, to the last figure."""

import json
import os
import platform
import shutil
import sys
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from pipelines import dvc, figures, registry, server, supervise, tracking, workspace
from pipelines.errors import PipelineError
from tests.pipelines import standin
from tests.pipelines.standin import clean_environment, closed_port, git
from tests.pipelines.test_supervise import wait_for

SCORES = {"precision": 0.5, "recall": 1.0, "f1": 0.625, "support": 4.0}
METRICS = {
    "align.entities_in": 7.0,
    "align.entities_kept": 7.0,
    "align.unknown_rate": 0.25,
    "train.best_dev_f1": 0.75,
    "train.best_step": 2.0,
    "train/dev_f1": 0.75,
    "train/loss": 0.25,
    "train/lr": 0.00005,
    "export.f1": 0.5,
    "measured.train.seconds": 1.5,
    **{f"test.{key}": value for key, value in SCORES.items()},
    **{f"test.{t}.{k}": v for t in ("PER", "ORG", "LOC") for k, v in SCORES.items()},
}
ARTIFACTS = {
    "dvc.lock",
    "dvc.yaml",
    "measured/train.json",
    "params.yaml",
    "reports/align.json",
    "reports/confusion.csv",
    "reports/errors.jsonl",
    "reports/export.json",
    "reports/metrics.json",
    "reports/train.csv",
    "reports/train.json",
}


def runs(client: MlflowClient) -> list:
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def versions(client: MlflowClient) -> list[str]:
    return sorted(
        str(v.version) for v in client.search_model_versions(f"name = '{registry.MODEL}'")
    )


def artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    found = set()
    for file in client.list_artifacts(run_id, folder):
        found |= artifacts(client, run_id, file.path) if file.is_dir else {file.path}
    return found


@pytest.fixture(scope="module")
def client(ran) -> MlflowClient:
    return tracking.connect(ran[0])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, workspace.Workspace]:
    """A dirty project whose stages have run and are not logged yet."""
    project = standin.project(tmp_path_factory.mktemp("done") / "project")
    (project / "notes.txt").write_text("mine")
    made = workspace.create(project, [], dirty=True)
    for stage in dvc.stages(made.path):
        dvc.repro(made.path, stage.name, print)
    return project, made


def test_one_run_has_every_metric_and_curve(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    assert run.data.metrics == METRICS
    assert run.info.status == "FINISHED"
    for name, points in {
        "train/loss": [(1, 0.5), (2, 0.25)],
        "train/lr": [(1, 0.00005), (2, 0.00005)],
        "train/dev_f1": [(2, 0.75)],
    }.items():
        found = client.get_metric_history(run.info.run_id, name)
        assert sorted((metric.step, metric.value) for metric in found) == points


def test_its_params_are_those_of_params_yaml(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    assert run.data.params == figures.params(ran[0] / "params.yaml")
    assert run.data.params["train.learning_rate"] == "5e-05"
    assert json.loads(run.data.params["align.types"]) == ["PER", "ORG", "LOC"]
    assert run.data.params["align.train_sentences"] == "null"
    assert run.data.params["download.encoder.sha256"] == "[]"


def test_its_artifacts_are_the_reports_and_what_rebuilds_it(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    assert artifacts(client, run.info.run_id) == ARTIFACTS
    assert run.info.artifact_uri.startswith((ran[0] / "mlartifacts").as_uri())
    local = Path(client.download_artifacts(run.info.run_id, "dvc.lock"))
    [made] = (path for path in (ran[0] / ".runs").glob("2*"))
    assert local.read_bytes() == (made / "dvc.lock").read_bytes()


def test_its_tags_say_where_it_came_from(ran, client: MlflowClient) -> None:
    project, [run], tags = ran[0], runs(client), runs(client)[0].data.tags
    [made] = (path for path in (project / ".runs").glob("2*"))
    assert run.info.run_name == made.name == tags["workspace"]
    assert tags["commit"] == git(project, "rev-parse", "HEAD").strip()
    assert tags["dirty"] == "false"
    assert tags["host"] == platform.node()
    assert tags["dvc_lock"] == tracking.lock_sha256(made / "dvc.lock")
    assert len(tags["prefect_run_id"]) == 36
    assert tags["measured.train.device"] == "cpu"
    assert tags["export.cuda_validated"] == "false"
    assert tags["log_complete"] == "true"


def test_one_version_is_registered_with_the_figures_of_gates(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    version = client.get_model_version_by_alias("msra-ner", "challenger")
    assert str(version.version) == "1"
    assert version.run_id == run.info.run_id
    assert version.tags == {
        "commit": run.data.tags["commit"],
        "cuda_validated": "false",
        "dvc_lock": run.data.tags["dvc_lock"],
        "export.f1": "0.5",
        "test.f1": "0.625",
    }


def test_the_model_brings_its_code_and_asks_for_no_torch(ran, client: MlflowClient) -> None:
    folder = Path(mlflow.artifacts.download_artifacts("models:/msra-ner@challenger"))
    names = {line.split("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert names - {"onnxruntime", "onnxruntime-gpu"} == {"mlflow", "numpy", "pandas", "tokenizers"}
    assert len(names) == 5
    assert (folder / "code" / "stages" / "ner" / "tagger.py").is_file()
    assert json.loads((folder / "serving_input_example.json").read_text()) == {
        "dataframe_split": {"columns": ["text"], "data": [[registry.EXAMPLE]]}
    }


def test_an_interrupted_log_is_replaced_and_a_finished_one_kept(done) -> None:
    project, made = done
    client = tracking.connect(project)
    model, away = made.path / "models" / "onnx", made.path / "away"
    model.rename(away)
    with pytest.raises(PipelineError, match="models/onnx is not there"):
        tracking.log_run(project, made)
    [interrupted] = runs(client)
    assert "log_complete" not in interrupted.data.tags
    shutil.move(away, model)

    logged = tracking.log_run(project, made, "prefect-id")
    [run] = runs(client)
    assert logged == tracking.Logged(run.info.run_id, "1", already_logged=False)
    assert run.info.run_id != interrupted.info.run_id
    assert run.data.tags["dirty"] == "true"
    assert run.data.tags["prefect_run_id"] == "prefect-id"
    diff = Path(client.download_artifacts(run.info.run_id, "dirty.diff"))
    assert diff.read_text() == made.dirty_diff == "# untracked: notes.txt\n"

    again = tracking.log_run(project, made)
    assert again == tracking.Logged(run.info.run_id, "1", already_logged=True)
    assert versions(client) == ["1"]

    # Killed after it had registered, before it said that it was done.
    client.delete_tag(run.info.run_id, "log_complete")
    last = tracking.log_run(project, made)
    assert last.already_logged is False
    assert [r.info.run_id for r in runs(client)] == [last.run_id]
    assert versions(client) == [last.version]
    assert registry.by_alias(client, "challenger") == last.version

    # A version that someone deleted comes back, without a second run.
    client.delete_model_version(registry.MODEL, last.version)
    back = tracking.log_run(project, made)
    assert (back.run_id, back.already_logged) == (last.run_id, True)
    assert versions(client) == [back.version]


def test_a_result_is_known_by_what_its_dvc_lock_says(tmp_path: Path) -> None:
    lock = {"schema": "2.0", "stages": {"b": {"cmd": "x"}, "a": {"cmd": "y"}}}
    for name, sort_keys, values in (
        ("one", True, lock),
        ("two", False, lock),
        ("other", True, {**lock, "schema": "3"}),
    ):
        (tmp_path / name).write_text(yaml.safe_dump(values, sort_keys=sort_keys))
    assert tracking.lock_sha256(tmp_path / "one") == tracking.lock_sha256(tmp_path / "two")
    assert tracking.lock_sha256(tmp_path / "one") != tracking.lock_sha256(tmp_path / "other")


def test_a_report_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "align.json").write_text("{")
    with pytest.raises(PipelineError, match=r"align\.json is not JSON"):
        figures.leaves({"reports/align.json": tmp_path / "align.json"})


def test_a_server_named_by_mlflow_tracking_uri_takes_it_all(
    done, empty_mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, made = done
    before = (project / "mlflow.db").read_bytes() if (project / "mlflow.db").exists() else None
    shutil.copy(empty_mlflow, tmp_path / "server.db")
    port = closed_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "log").open("w") as log:
        process = supervise.start(command, tmp_path, clean_environment(), output=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: server.answers(f"{url}/health"), "MLflow's server answers", 90)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking.check(project)
        logged = tracking.log_run(project, made)
        client = MlflowClient(url)
        assert client.get_run(logged.run_id).data.metrics == METRICS
        assert artifacts(client, logged.run_id) == ARTIFACTS | {"dirty.diff"}
        assert (tmp_path / "artifacts").is_dir()
        assert registry.by_alias(client, "challenger") == logged.version == "1"
    finally:
        process.communicate()
    after = (project / "mlflow.db").read_bytes() if (project / "mlflow.db").exists() else None
    assert after == before


def test_a_server_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with pytest.raises(PipelineError, match=f"^MLflow at {url} cannot be used"):
        tracking.check(tmp_path)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
