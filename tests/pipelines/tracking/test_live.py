"""A run in MLflow while its stages work, and when they do not end well."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from mlflow.entities import Run

from pipelines.dvc_repo.stages import Stage
from pipelines.errors import RunCancelledError
from pipelines.names import MODEL
from pipelines.tracking import connection, live, run_log, unfinished
from pipelines.tracking.connection import Project
from pipelines.tracking.live import Live
from pipelines.workspaces import run_state, stage_log, workspace
from pipelines.workspaces.workspace import Workspace
from tests.pipelines.logged import artifacts, runs
from tests.pipelines.standin import closed_port
from tests.pipelines.workspaces.test_process_group import wait_for


@pytest.fixture
def project(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(live, "INTERVAL_S", 0.05)
    return connection.check(copied)


def made_in(project: Project) -> Workspace:
    """A workspace whose stages have not run, with what dvc.lock says of an earlier run."""
    made = workspace.create(project.folder, [], dirty=True)
    shutil.copy(workspace.all_of(project.folder)[-1] / "dvc.lock", made.path)
    (made.path / ".measured").mkdir()
    (made.path / "reports").mkdir()
    return made


@contextmanager
def flow(project: Project, made: Workspace, inputs: str = "abc") -> Iterator[tuple[Live, list]]:
    """What a flow does around its stages; gives what it warned of, too."""
    said: list[str] = []
    with (
        run_state.reserved(made.path),
        live.following(project, said.append) as opened,
        run_state.begun(made.path),
    ):
        opened.open(made, inputs)
        yield opened, said


def curve(project: Project, run_id: str, name: str) -> list[tuple[int, float]]:
    history = project.client.get_metric_history(run_id, name)
    return sorted((metric.step, metric.value) for metric in history)


def unfinished_run(project: Project) -> Run:
    """The one run beside that of the version."""
    [run] = [run for run in runs(project.client) if unfinished.COMPLETE not in run.data.tags]
    return run


def test_it_opens_before_the_first_stage_and_grows(project: Project) -> None:
    made = made_in(project)
    with flow(project, made) as (opened, said):
        assert opened.files
        run_id, client = opened.files.run_id, project.client
        run = client.get_run(run_id)
        assert (run.info.status, run.info.run_name) == ("RUNNING", made.run_id)
        assert run.data.params["train.learning_rate"] == "0.0002"
        assert {"params.yaml", "dvc.yaml"} <= artifacts(client, run_id)
        assert run.data.tags["mlflow.source.git.commit"] == made.commit

        opened.begins(Stage("download", ()))
        wait_for(lambda: unfinished.STAGE in client.get_run(run_id).data.tags, "the stage's name")
        opened.ended(Stage("download", ()))
        wait_for(lambda: client.get_run(run_id).inputs.dataset_inputs, "the dataset")
        opened.begins(Stage("train", ()))
        path = made.path / ".measured" / "train.csv"
        path.write_text("step,loss,tokens_per_s\n10,0.5,100\n20,0.2")
        wait_for(lambda: curve(project, run_id, "train/loss"), "the first row")
        assert curve(project, run_id, "train/loss") == [(10, 0.5)]
        with path.open("a") as file:
            file.write("5,300\n")
        wait_for(lambda: len(curve(project, run_id, "train/loss")) > 1, "the second row")
        assert curve(project, run_id, "train/loss") == [(10, 0.5), (20, 0.25)]
        assert client.get_run(run_id).data.tags[unfinished.STAGE] == "train"
        report = made.path / "reports" / "train.json"
        report.write_text('{"best_dev_f1": 0.75, "device": "cpu"}')
        opened.ended(Stage("train", (), (report,)))
        opened.stop()
        run = client.get_run(run_id)
        assert run.data.metrics["aggregate/dev_f1"] == 0.75
        assert run.data.tags["train.device"] == "cpu"
        assert {"reports/train.json", "measured/train.csv"} <= artifacts(client, run_id)
        assert unfinished.opened(project, made, "abc").run_id == run_id  # as after a lost answer
        assert said == []


def test_a_failed_run_says_so_and_the_next_one_goes_on_in_it(project: Project) -> None:
    first, client = made_in(project), project.client
    (first.path / ".measured" / "train.csv").write_text("step,loss\n1,0.5\n2,0.25\n")
    stage_log.write(first.path, "align", "other")
    stage_log.write(first.path, "train", "epoch 1")
    with pytest.raises(RuntimeError), flow(project, first):
        raise RuntimeError("no memory")
    run = unfinished_run(project)
    assert (run.info.status, run.data.tags[unfinished.STAGE]) == ("FAILED", "train")
    assert run.data.tags["mlflow.note.content"].startswith(
        "**FAILED** in stage train: RuntimeError('no memory')\n\n    epoch 1\n"
    )
    assert run.info.end_time >= run.info.start_time
    assert unfinished.LOG in artifacts(client, run.info.run_id)

    with flow(project, made_in(project), "other inputs") as (other, _):
        assert other.files
        assert other.files.run_id != run.info.run_id
    again, beside = made_in(project), made_in(project)
    with flow(project, again) as (opened, _), flow(project, beside) as (second, _):
        assert opened.files
        assert second.files
        assert opened.files.run_id == run.info.run_id != second.files.run_id
        now = client.get_run(run.info.run_id)
        assert (now.info.status, now.info.run_name) == ("RUNNING", again.run_id)
        assert now.data.tags["mlflow.note.content"].startswith("It goes on where it was ended.")
        (again.path / ".measured" / "train.csv").write_text("step,loss\n2,0.25\n3,0.125\n")
        opened.stop()
        assert curve(project, run.info.run_id, "train/loss") == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_status_shows_it(project: Project, command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    made = made_in(project)
    with flow(project, made) as (opened, _):
        opened.begins(Stage("train", ()))
        opened.stop()
        code, out, _ = command("status")
        assert (code, out.splitlines()[-1].partition(", since")[0]) == (
            0,
            f"Running: {made.run_id}, stage train",
        )
    # It was let go without a result, as by a kill.
    assert "Running" not in command("status")[1]
    assert unfinished_run(project).info.status == "KILLED"


def test_a_cancelled_run_is_killed(project: Project) -> None:
    made = made_in(project)
    with pytest.raises(RunCancelledError), flow(project, made):
        raise RunCancelledError("Cancelled in stage train")
    run = unfinished_run(project)
    assert run.info.status == "KILLED"
    assert "**KILLED**: Cancelled in stage train" in run.data.tags["mlflow.note.content"]


def test_a_run_whose_process_is_gone_is_killed_by_its_lock(project: Project) -> None:
    made = made_in(project)
    with ExitStack() as process:
        process.enter_context(run_state.reserved(made.path))
        run_state.mark(made.path, "running")
        opened = Live(project, print)
        opened.open(made, "abc")
        stage_log.write(made.path, "train", "epoch 1")
        opened.stop()
        unfinished.sweep(project.folder)
        run = unfinished_run(project)
        assert run.info.status == "RUNNING"
    # As after SIGKILL: nobody holds the lock, and nobody wrote how it ended.
    with unfinished.one_at_a_time(project.folder):
        unfinished.sweep(project.folder)
        assert unfinished_run(project).info.status == "RUNNING"  # `log` may be at work
    unfinished.sweep(project.folder)
    run = unfinished_run(project)
    assert run.info.status == "KILLED"
    assert run_state.KILLED in run.data.tags["mlflow.note.content"]
    assert "epoch 1" in run.data.tags["mlflow.note.content"]
    assert run.info.end_time // 1000 == int((made.path / stage_log.FILE).stat().st_mtime)


def test_what_mlflow_did_not_take_it_gets_later_and_once(project: Project) -> None:
    made = made_in(project)
    with (
        flow(project, made) as (opened, said),
        closing(sqlite3.connect(project.folder / "mlflow.db")) as database,
    ):
        assert opened.files
        full = "BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'no room'); END"
        database.execute(f"CREATE TRIGGER no_room {full}")
        path = made.path / ".measured" / "train.csv"
        path.write_text("step,loss\n1,0.5\n")
        wait_for(lambda: said, "a warning")
        path.write_text("step,loss\n1,0.5\n2,0.25\n")
        database.execute("DROP TRIGGER no_room")
        name = (opened.files.run_id, "train/loss")
        wait_for(lambda: len(curve(project, *name)) == 2, "both rows")
        opened.stop()
        assert curve(project, *name) == [(1, 0.5), (2, 0.25)]
        assert len(said) == 1
        assert "no room): the stages go on, and it gets all of it later" in said[0]


def test_a_server_that_is_away_is_not_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_in(project)
    url = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    away = Project(project.folder, url, connection.connect(project.folder), MODEL, "1")
    with flow(away, made) as (opened, said):
        assert opened.files is None
        opened.begins(Stage("train", ()))
    assert len(said) == 1
    assert run_state.word(made.path) == "complete"


def test_an_equal_result_leaves_no_second_run(project: Project) -> None:
    [before] = runs(project.client)
    was = workspace.find(project.folder, workspace.all_of(project.folder)[-1].name)
    made = made_in(project)
    for folder in ("reports", "models", "data", ".measured"):
        shutil.copytree(was.path / folder, made.path / folder, symlinks=True, dirs_exist_ok=True)
    with flow(project, made, "others") as (opened, _):
        opened.stop()
        assert len(runs(project.client)) == 2
        logged = run_log.log_run(project, made, opened.files)
    assert (logged.run_id, logged.already_logged) == (before.info.run_id, True)
    assert [run.info.run_id for run in runs(project.client)] == [before.info.run_id]
