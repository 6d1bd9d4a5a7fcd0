"""What a run leaves in a real SQLite MLflow, to the last figure."""

import json
import platform
from pathlib import Path
from urllib.request import urlopen

import mlflow
import pytest
import yaml
from mlflow import MlflowClient

from pipelines.dvc_repo import lockfile
from pipelines.names import Logged
from pipelines.promotion.version_files import exported
from pipelines.registry import serving_code, versions
from pipelines.tracking import connection, report_values, run_log
from tests.pipelines.logged import (
    ARTIFACTS,
    METRICS,
    OF_FLOWS,
    artifacts,
    not_of_the_machine,
    runs,
)
from tests.pipelines.standin import git


@pytest.fixture
def client(ran) -> MlflowClient:
    return connection.connect(ran[0])


def test_one_run_has_every_metric_and_curve(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    assert not_of_the_machine(run.data.metrics) == METRICS
    assert run.info.status == "FINISHED"
    for name, points in {
        "train/loss": [(1, 0.5), (2, 0.25)],
        "train/lr": [(1, 0.0002), (2, 0.0002)],
        "train/dev_f1": [(2, 0.75)],
    }.items():
        found = client.get_metric_history(run.info.run_id, name)
        assert sorted((metric.step, metric.value) for metric in found) == points


def test_its_params_are_those_of_params_yaml(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    # MLflow adds what the registered model is loaded with.
    params = {k: v for k, v in run.data.params.items() if not k.endswith("_sha256")}
    assert params == report_values.params(ran[0] / "params.yaml")
    assert run.data.params["train.learning_rate"] == "0.0002"
    assert json.loads(run.data.params["align.types"]) == ["PER", "ORG", "LOC"]
    assert run.data.params["align.train_sentences"] == "null"
    assert run.data.params["download.encoder.sha256"] == "[]"


def test_its_artifacts_are_the_reports_and_what_rebuilds_it(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    assert artifacts(client, run.info.run_id) == ARTIFACTS | OF_FLOWS
    assert run.info.artifact_uri.startswith((ran[0] / "mlartifacts").as_uri())
    local = Path(client.download_artifacts(run.info.run_id, "dvc.lock"))
    [made] = (path for path in (ran[0] / ".runs").glob("2*"))
    assert local.read_bytes() == (made / "dvc.lock").read_bytes()


def test_its_report_is_a_file_that_a_browser_opens(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    logged = Logged(run.info.run_id, "msra-ner", "1", already_logged=False)
    address = run_log.report(connection.check(ran[0]), logged)
    assert address == f"{run.info.artifact_uri}/reports/index.html"
    with urlopen(address) as file:
        assert file.read().decode() == "<!doctype html><title>Report</title>"
    assert f"Open the report in a browser:\n  {address}\n" in ran[1].stdout


def test_its_tags_say_where_it_came_from(ran, client: MlflowClient) -> None:
    project, [run], tags = ran[0], runs(client), runs(client)[0].data.tags
    [made] = (path for path in (project / ".runs").glob("2*"))
    assert run.info.run_name == made.name == tags["workspace"]
    assert tags["commit"] == git(project, "rev-parse", "HEAD").strip()
    assert tags["dirty"] == "false"
    assert tags["host"] == platform.node()
    assert tags["dvc_lock"] == lockfile.sha256(made / "dvc.lock")
    assert len(tags["prefect_run_id"]) == 36
    assert tags["export.cuda_validated"] == "false"
    assert tags["log_complete"] == "true"


def test_the_data_is_an_input_with_its_hash(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    [made] = (path for path in (ran[0] / ".runs").glob("2*"))
    [out] = yaml.safe_load((made / "dvc.lock").read_text())["stages"]["download"]["outs"]
    [found] = run.inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("data/raw.txt", out["md5"])
    assert json.loads(found.dataset.source)["commit"] == run.data.tags["commit"]


def test_the_packages_are_those_that_ran_it(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    text = Path(client.download_artifacts(run.info.run_id, "packages.txt")).read_text()
    assert f"mlflow=={mlflow.__version__}" in text.splitlines()
    assert len(text.splitlines()) > 50


def test_one_version_is_registered_with_the_figures_of_gates(ran, client: MlflowClient) -> None:
    [run] = runs(client)
    version = client.get_model_version_by_alias("msra-ner", "challenger")
    assert str(version.version) == "1"
    assert version.run_id == run.info.run_id
    assert version.tags == {
        "commit": run.data.tags["commit"],
        "corpus": "MSRA",
        "f1": "0.5000",
        "ner.checksums_sha256": run.data.tags["checksums_sha256"],
        "ner.cuda_validated": "false",
        "ner.dvc_lock": run.data.tags["dvc_lock"],
        "ner.serving_sha256": serving_code.sha256(ran[0]),
        "ner.export.f1": "0.5",
        **{f"ner.export.{type_}.f1": "0.5" for type_ in ("PER", "ORG", "LOC")},
        "ner.export.logit_difference_max": "1e-05",
        "ner.export.test_sentences": "3.0",
        "ner.test_sha256": "7e57",
        "ner.test.ece": "0.02",
        "ner.test.f1": "0.625",
    }


def test_the_model_brings_its_code_and_asks_for_no_torch(ran, client: MlflowClient) -> None:
    folder = Path(mlflow.artifacts.download_artifacts("models:/msra-ner@challenger"))
    names = {line.split("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert names - {"onnxruntime", "onnxruntime-gpu"} == {"mlflow", "numpy", "pandas", "tokenizers"}
    assert len(names) == 5
    assert (folder / "code" / "stages" / "serving" / "tagger.py").is_file()
    assert (exported(folder) / "README.md").read_text() == "# msra-ner\n\n## The card"
    assert json.loads((folder / "serving_input_example.json").read_text()) == {
        "dataframe_split": {"columns": ["text"], "data": [[versions.EXAMPLE]]}
    }
