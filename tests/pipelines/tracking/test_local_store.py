"""A project's own MLflow: moved, copied, lost, in the bin; nothing registered is ever deleted."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from pipelines.cli.app import main
from pipelines.doctor.checks.finding import Level, Requirements
from pipelines.doctor.checks.mlflow import check
from pipelines.errors import PipelineError
from pipelines.maintenance import gc
from pipelines.names import MODEL
from pipelines.tracking import connection, run_log
from pipelines.workspaces import empty_tables, workspace
from tests.pipelines import standin
from tests.pipelines.logged import runs
from tests.pipelines.standin import pipelines


def weights(project: Path) -> bool:
    cache = (project / ".dvc" / "cache" / "files").rglob("*")
    return any(path.read_text() == "0.5" for path in cache if path.is_file())


def model_is_whole(project: Path, folder: Path) -> bool:
    connection.connect(project)
    into = str(folder / "model")
    return Path(mlflow.artifacts.download_artifacts("models:/msra-ner/1", dst_path=into)).is_dir()


def test_a_version_deleted_in_a_copy_leaves_the_original_its_model(
    one_version: Path, copied: Path, tmp_path: Path, capsys
) -> None:
    client = connection.connect(copied)
    said = f"The project was at {one_version.as_uri()}/mlartifacts: MLflow's addresses now name"
    assert capsys.readouterr().err == f"{said} {copied.as_uri()}/mlartifacts\n"
    client.delete_model_version(MODEL, "1")
    shutil.rmtree(workspace.all_of(copied)[0])
    assert len(gc.prune(copied, dry_run=False).mlflow_runs) == 1
    assert not list((copied / "mlartifacts").rglob("model.onnx"))
    assert not weights(copied)
    assert gc.prune(one_version, dry_run=True).mlflow_runs == []
    assert weights(one_version)
    assert model_is_whole(one_version, tmp_path)
    assert capsys.readouterr().err == ""


def test_without_its_artifacts_a_copy_deletes_none_of_the_original(
    one_version: Path, copied: Path, tmp_path: Path
) -> None:
    shutil.rmtree(copied / "mlartifacts")
    connection.connect(copied).delete_model_version(MODEL, "1")
    gc.prune(copied, dry_run=False)
    assert model_is_whole(one_version, tmp_path)


def test_a_moved_project_predicts_and_logs_where_it_is(copied: Path, tmp_path: Path) -> None:
    was, moved = copied, copied.rename(tmp_path / "moved")
    predicted = pipelines(moved, "predict", "北京")
    assert '"type": "LOC"' in predicted.stdout, predicted.stderr
    client = connection.connect(moved)
    experiment = client.get_experiment_by_name(MODEL)
    assert experiment.artifact_location == (moved / "mlartifacts").as_uri()
    made = client.create_run(experiment.experiment_id)
    client.log_text(made.info.run_id, "x", "x.txt")
    assert (moved / "mlartifacts" / made.info.run_id / "artifacts/x.txt").is_file()
    assert not was.exists()


def test_a_database_that_is_missing_empty_or_another_stops_it(
    copied: Path, empty_mlflow: Path, tmp_path: Path
) -> None:
    database = copied / "mlflow.db"
    was = database.rename(tmp_path / "mlflow.db")
    with pytest.raises(PipelineError, match=r"mlflow\.db is missing, and .*mlartifacts has models"):
        gc.prune(copied, dry_run=False)
    database.touch()
    with pytest.raises(PipelineError, match=r"mlflow\.db is empty, and .*mlartifacts has models"):
        gc.prune(copied, dry_run=False)
    shutil.copy(empty_mlflow, database)
    with pytest.raises(PipelineError, match=r"mlflow\.db knows nothing of 1 models in .*"):
        gc.prune(copied, dry_run=False)
    shutil.copy(was, database)
    assert gc.prune(copied, dry_run=False).cache_objects == 0
    assert weights(copied)


@pytest.mark.parametrize(
    "command",
    ["gc", "status", "predict 北京", "bring 1", pytest.param("run", marks=pytest.mark.slow)],
)
def test_a_damaged_database_is_one_sentence(
    copied: Path, command: str, capsys, monkeypatch
) -> None:
    (copied / "mlflow.db").write_bytes(b"not a database, but text" * 99)
    monkeypatch.chdir(copied)
    assert main(command.split()) != 0
    out, err = capsys.readouterr()
    said = f"{copied}/mlflow.db cannot be used (file is not a database): restore it from a backup"
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(said)
    [finding] = check(Requirements())
    assert (finding.level, f"{finding.message}: {finding.remedy}\n") == (Level.ERROR, err)


def test_what_a_version_stands_on_is_restored_from_the_bin(copied: Path, tmp_path: Path) -> None:
    client = connection.connect(copied)
    [run] = runs(client)
    theirs = client.create_experiment("of a person")
    their_run = client.create_run(theirs)
    client.delete_experiment(theirs)
    client.delete_run(run.info.run_id)
    unneeded = client.create_run(run.info.experiment_id, tags={"dvc_lock": "0"})
    client.set_terminated(unneeded.info.run_id)

    found = gc.prune(copied, dry_run=True)
    assert (found.restored, found.mlflow_runs) == ([run.info.run_id], [unneeded.info.run_id])
    assert runs(client) != [run]
    assert gc.prune(copied, dry_run=False) == found
    assert [run.info.run_id] == [each.info.run_id for each in runs(client)]
    assert model_is_whole(copied, tmp_path)
    # What others have in the bin is theirs; `mlflow gc` would have deleted it too.
    assert client.get_experiment(theirs).lifecycle_stage == "deleted"
    assert client.get_run(their_run.info.run_id)
    assert gc.prune(copied, dry_run=False).restored == []


def test_an_experiment_in_the_bin_stops_it(copied: Path) -> None:
    client = connection.connect(copied)
    client.delete_experiment(client.get_experiment_by_name(MODEL).experiment_id)
    with pytest.raises(PipelineError, match="experiment msra-ner is deleted: `mlflow experiments"):
        gc.prune(copied, dry_run=False)
    assert weights(copied)


def test_what_an_outer_job_set_for_its_run_does_not_reach_ours(copied: Path, monkeypatch) -> None:
    client = connection.connect(copied)
    other = client.create_experiment("of an outer job", (copied / "elsewhere").as_uri())
    outer = client.create_run(other, run_name="outer")
    with closing(sqlite3.connect(copied / "mlflow.db")) as database:
        before = outer_rows(database, outer.info.run_id)
    outer_model = client.create_logged_model(other)
    for key, value in {
        "MLFLOW_RUN_ID": outer.info.run_id,
        "MLFLOW_EXPERIMENT_ID": other,
        "MLFLOW_EXPERIMENT_NAME": "of an outer job",
        "MLFLOW_RUN_CONTEXT": '{"outer": "yes"}',
        "MLFLOW_ACTIVE_MODEL_ID": outer_model.model_id,
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
    }.items():
        monkeypatch.setenv(key, value)
    made = workspace.find(copied, workspace.all_of(copied)[0].name)
    lock = (made.path / "dvc.lock").read_text()
    (made.path / "dvc.lock").write_text(lock.replace("python stage.py export", "python other"))
    logged = run_log.log_run(connection.check(copied), made)
    run = MlflowClient().get_run(logged.run_id)
    assert run.info.experiment_id == client.get_experiment_by_name(MODEL).experiment_id
    assert run.info.status == "FINISHED"
    assert run.data.params["train.learning_rate"] == "0.5"
    assert "outer" not in run.data.tags
    assert logged.version == "2"
    with closing(sqlite3.connect(copied / "mlflow.db")) as database:
        assert outer_rows(database, outer.info.run_id) == before
    assert not (copied / "elsewhere").exists()
    assert "MLFLOW_RUN_ID" not in os.environ


def outer_rows(database: sqlite3.Connection, run_id: str) -> list:
    """All that the database has of the run."""
    tables = (f"SELECT * FROM {name} WHERE run_uuid = ?" for name in ("runs", "tags", "metrics"))  # noqa: S608
    return [sorted(database.execute(select, (run_id,)).fetchall()) for select in tables]


FIRST_USE = """\
import sys
from pathlib import Path
from pipelines.tracking import connection
sys.stdin.readline()
print(connection.check(Path("."), connection.Need.LOG).experiment_id)
"""


@pytest.mark.slow  # two processes that import all of MLflow
def test_the_first_two_uses_at_once_make_one_database(tmp_path: Path) -> None:
    project = standin.project(tmp_path / "project")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_USE], cwd=project, env=standin.clean_environment(),
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:  # both have imported MLflow, or will as soon as they can
        process.stdin.write("\n")
        process.stdin.flush()
    results = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert len({out for out, _ in results}) == 1
    assert "Traceback" not in "".join(err for _, err in results)


def test_the_tables_are_made_once_an_environment_and_name_no_other_project(
    tmp_path: Path, monkeypatch
) -> None:
    for name in ("first", "second"):
        project = tmp_path / name
        project.mkdir()
        monkeypatch.chdir(project)
        default = connection.connect(project).get_experiment("0")
        assert Path(default.artifact_location).is_relative_to(project)
    with closing(sqlite3.connect(empty_tables.kept("mlflow"))) as database:
        assert database.execute("select count(*) from experiments").fetchone() == (0,)
        assert database.execute("select count(*) from alembic_version").fetchone() == (1,)
