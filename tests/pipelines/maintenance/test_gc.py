"""`gc`: what is old goes, and a registered version can be rebuilt after it."""

import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from pipelines.errors import PipelineError
from pipelines.maintenance import bring, gc, resume_logging
from pipelines.names import MODEL
from pipelines.tracking import connection, environment, retention
from pipelines.workspaces import run_state, workspace
from tests.pipelines import done, standin
from tests.pipelines.logged import runs, versions
from tests.pipelines.workspaces.test_workspace import tree


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> tuple[Path, dict]:
    """Three results, of which the second's version was deleted, then two failed runs; keep one."""
    project = standin.project(tmp_path_factory.mktemp("used") / "project")
    standin.in_one_stage(project)
    standin.commit(project)
    shutil.copy(empty_mlflow, project)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("keep_workspaces: 5", "keep_workspaces: 1"))
    made = {rate: done.run(project, rate) for rate in (0.125, 0.25, 0.5)}
    connection.connect(project).delete_model_version(MODEL, "2")
    for name in ("x", "y"):
        made[name] = workspace.create(project, [], dirty=True)
        run_state.mark(made[name].path, "failed", name)
    return project, made


@pytest.fixture
def project(used, tmp_path: Path) -> Path:
    """A copy for a test that may change it."""
    return Path(shutil.copytree(used[0], tmp_path / "project", symlinks=True))


def weights(project: Path) -> set[str]:
    cache = (project / ".dvc" / "cache" / "files").rglob("*")
    found = {path.read_text() for path in cache if path.is_file()}
    return found & {"0.125", "0.25", "0.5", "0.75", "0.875"}


def test_a_dry_run_says_it_and_changes_nothing(used) -> None:
    project, made = used
    before = tree(project), sorted((project / ".runs").iterdir())
    found = gc.prune(project, dry_run=True)
    newest_failed = max(made["x"].run_id, made["y"].run_id)
    assert set(found.workspaces) == {m.run_id for m in made.values()} - {
        made[0.5].run_id,
        newest_failed,
    }
    assert len(found.mlflow_runs) == 1
    assert found.cache_objects > 0
    assert found.cache_skipped is None
    after = {k: v for k, v in tree(project).items() if ".dvc/tmp/" not in k}
    assert after == {k: v for k, v in before[0].items() if ".dvc/tmp/" not in k}
    assert [p for p in (project / ".runs").iterdir() if p.name[0] == "2"] == [
        p for p in (project / ".runs").iterdir() if p in before[1] and p.name[0] == "2"
    ]
    assert weights(project) == {"0.125", "0.25", "0.5"}


def test_a_registered_version_is_rebuilt_after_it(project: Path, tmp_path: Path) -> None:
    said = gc.prune(project, dry_run=True)
    run = connection.connect(project).get_run(said.mlflow_runs[0])
    half = connection.connect(project).create_logged_model(
        run.info.experiment_id, source_run_id=run.info.run_id
    )
    files = Path(half.artifact_location.removeprefix("file://"))
    files.mkdir(parents=True)
    of_a_kill = project / ".dvc/cache/files/md5/.FO2qXXjq4GuKfwDP4jxTZw.tmp"
    of_a_kill.touch()
    assert gc.prune(project, dry_run=False) == said
    assert not files.exists()
    assert not of_a_kill.exists()
    assert weights(project) == {"0.125", "0.5"}
    entries = (project / ".dvc" / "cache" / "runs").glob("*/*/*")
    assert "learning_rate: 0.25" not in "".join(path.read_text() for path in entries)
    left = {path.name for path in workspace.all_of(project)}
    assert len(left) == 2
    assert not left & set(said.workspaces)

    client = connection.connect(project)
    assert versions(client) == ["1", "3"]
    kept = {version.run_id for version in client.search_model_versions("name = 'msra-ner'")}
    assert {run.info.run_id for run in runs(client)} == kept
    with pytest.raises(MlflowException):
        client.get_run(said.mlflow_runs[0])
    assert Path(mlflow.artifacts.download_artifacts("models:/msra-ner/1"), "MLmodel").is_file()

    made = workspace.create(project, [], dirty=True).path
    for name in ("dvc.lock", "params.yaml"):
        files = retention.fetch_files(client, client.get_model_version(MODEL, "1"), tmp_path / name)
        shutil.copy(files / name, made)
    done.call(made, "checkout")
    assert (made / "models" / "ner" / "weights").read_text() == "0.125"
    assert "Running stage" not in done.repro(made)
    # From the run cache alone, without a dvc.lock: its entries are there as well.
    again = workspace.create(project, [], dirty=True).path
    shutil.copy(made / "params.yaml", again)
    assert "Running stage" not in done.repro(again)

    found = gc.prune(project, dry_run=False)
    assert (found.mlflow_runs, found.cache_objects) == ([], 0)


@pytest.mark.slow  # ten seconds
def test_of_failed_and_killed_runs_the_newest_stay(project: Path) -> None:
    client = connection.connect(project)
    before = gc.prune(project, dry_run=True).mlflow_runs
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    tags = {environment.CHECKOUT: environment.checkout(project)}
    old = []
    for start, status in enumerate(("FAILED", "KILLED", "FAILED"), 1):
        old.append(client.create_run(experiment, start, tags).info.run_id)
        client.set_terminated(old[-1], status)
    gone = client.create_run(experiment, tags=tags).info.run_id  # its process, without a word
    theirs = client.create_run(experiment, tags={environment.CHECKOUT: "another"}).info.run_id
    assert set(gc.prune(project, dry_run=False).mlflow_runs) == {*before, *old}
    assert client.get_run(gone).info.status == "KILLED"
    assert client.get_run(theirs).info.status == "RUNNING"


@pytest.mark.slow  # so that all others end within eight minutes
def test_versions_of_every_model_are_kept(project: Path) -> None:
    """Whatever their names: of an overlay, or one that a person registered a run by."""
    client = connection.connect(project)
    [unneeded] = gc.prune(project, dry_run=True).mlflow_runs
    [output] = client.get_run(unneeded).outputs.model_outputs
    client.create_registered_model("by-hand")
    client.create_model_version("by-hand", f"models:/{output.model_id}", unneeded)
    dishes = done.run(project, 0.75, model="dishes")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("msra-ner", "now-another"))
    done.run(project, 0.875)  # whose workspace is kept, so that of dishes is not

    found = gc.prune(project, dry_run=False)
    assert dishes.run_id in found.workspaces
    assert found.mlflow_runs == []
    assert weights(project) == {"0.125", "0.25", "0.5", "0.75", "0.875"}
    names = {"msra-ner": "3", "by-hand": "1", "dishes": "1", "now-another": "1"}
    for name, number in names.items():
        place = mlflow.artifacts.download_artifacts(f"models:/{name}/{number}")
        assert Path(place, "MLmodel").is_file()
        retention.version_of(project, number, name)

    [of_dishes] = runs(client, "dishes")
    client.delete_registered_model("dishes")
    assert gc.prune(project, dry_run=False).mlflow_runs == [of_dishes.info.run_id]
    assert weights(project) == {"0.125", "0.25", "0.5", "0.875"}


def test_while_a_run_is_going_the_cache_is_left_alone(project: Path) -> None:
    unlogged = min(workspace.all_of(project))
    run_state.mark(unlogged, "unlogged", "MLflow was away")
    running = workspace.create(project, [], dirty=True)
    with run_state.running(running.path):
        found = gc.prune(project, dry_run=False)
    assert running.path.is_dir()
    assert unlogged.is_dir()
    assert found.cache_skipped == "a run is in progress; try again when it has ended"
    assert found.workspaces
    assert weights(project) == {"0.125", "0.25", "0.5"}


@pytest.mark.parametrize("until", ["stages", "schema: ", "- pa"])
def test_a_half_written_lock_of_a_killed_run_is_named(project: Path, until: str) -> None:
    whole = (max(project.glob(".runs/*/dvc.lock"))).read_text()
    lock = workspace.create(project, [], dirty=True).path / "dvc.lock"
    run_state.mark(lock.parent, "failed", "it was killed")
    lock.write_text(whole[: whole.index(until) + len(until)])
    before = weights(project)
    found = gc.prune(project, dry_run=False)
    assert found.cache_skipped.startswith(f"{lock} is not a whole dvc.lock: if DVC was killed")
    assert weights(project) == before
    lock.unlink()
    assert gc.prune(project, dry_run=False).cache_skipped is None


def test_branches_are_kept(project: Path) -> None:
    made = next(p for p in workspace.all_of(project) if "0.25" in (p / "params.yaml").read_text())
    shutil.copy(made / "dvc.lock", project)
    standin.git(project, "checkout", "--quiet", "-b", "other")
    standin.commit(project)
    standin.git(project, "checkout", "--quiet", "main")
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("keep_workspaces: 5", "keep_workspaces: 1")
    )
    assert not (project / "dvc.lock").exists()
    gc.prune(project, dry_run=False)
    assert not made.is_dir()
    assert weights(project) == {"0.125", "0.25", "0.5"}


def test_a_version_whose_needs_are_unknown_stops_it(project: Path) -> None:
    client = connection.connect(project)
    run_id = client.create_run(runs(client)[0].info.experiment_id).info.run_id
    client.create_model_version(MODEL, "models:/msra-ner/1", run_id)
    before = workspace.all_of(project), weights(project)
    with pytest.raises(PipelineError, match=r"^The files of version 4 of msra-ner are missing"):
        gc.prune(project, dry_run=False)
    assert (workspace.all_of(project), weights(project)) == before


def test_a_cache_that_others_may_use_is_left_alone(project: Path) -> None:
    (project / ".dvc" / "cache").rename(project.parent / "elsewhere")
    (project / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {project.parent}/elsewhere")
    found = gc.prune(project, dry_run=False)
    assert "is outside the project and others may use it" in found.cache_skipped
    assert found.workspaces


def test_evaluations_and_rebuilds_push_no_training_out(project: Path) -> None:
    params = project / "params.yaml"
    trained = gc_keeps(project)
    made = [workspace.create(project, [], True, purpose="evaluation") for _ in range(3)]
    made.append(workspace.create(project, [], True, purpose="rebuild"))
    for each in made:
        run_state.mark(each.path, "complete")
        assert each == workspace.find(project, each.run_id)
    assert "keep_workspaces: 1" in params.read_text()
    newest = max(each.run_id for each in made[:3])
    assert gc_keeps(project) == trained | {newest, made[-1].run_id}
    with pytest.raises(PipelineError, match=f"^Run {newest} has the purpose evaluation, and no"):
        bring.bring(project, newest, with_params=False)
    with pytest.raises(PipelineError, match=f"^Run {made[-1].run_id} has the purpose rebuild, and"):
        resume_logging.log(project, made[-1].run_id)


def gc_keeps(project: Path) -> set[str]:
    """The workspaces that `gc` would keep."""
    old = gc.prune(project, dry_run=True).workspaces
    return {path.name for path in workspace.all_of(project)} - set(old)
