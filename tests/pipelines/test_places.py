"""Projects in folders of any name: what the paths become, and which names are refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipelines.dvc_repo import fingerprint
from pipelines.errors import PipelineError
from pipelines.names import MODEL
from pipelines.prediction import predict
from pipelines.registry import versions
from pipelines.tracking import connection
from pipelines.tracking.connection import Need
from pipelines.workspaces import places, workspace
from tests.pipelines import done, standin
from tests.pipelines.standin import git
from tests.support.nobody import as_nobody

NAMES = ["plain", "命名 实体", "a space", "100% of it", "why?", "it's", "a#b", "user@host"]
KINDS = ["symlink", "worktree", "submodule", "subfolder"]


@pytest.fixture(params=[*NAMES, *KINDS])
def place(request: pytest.FixtureRequest, tmp_path: Path, empty_mlflow: Path) -> Path:
    """A project in a folder of this name, or of this kind."""
    kind = request.param
    made = tmp_path / "there" / (kind if kind in NAMES else "project")
    standin.project(made)
    if kind in KINDS:
        made = globals()[kind](made)
    shutil.copy(empty_mlflow, made)
    return made


def symlink(project: Path) -> Path:
    link = project.with_name("link")
    link.symlink_to(project)
    return link


def worktree(project: Path) -> Path:
    tree = project.with_name("tree")
    git(project, "worktree", "add", "--quiet", str(tree))
    return tree


def submodule(project: Path) -> Path:
    outer = project.with_name("outer")
    git(project.parent, "init", "--quiet", str(outer))
    allow = ["-c", "protocol.file.allow=always"]
    git(outer, *allow, "submodule", "--quiet", "add", str(project), "ner")
    standin.commit(outer)
    return outer / "ner"


def subfolder(project: Path) -> Path:
    shutil.rmtree(project / ".git")
    git(project.parent, "init", "--quiet")
    standin.commit(project.parent)
    return project


def test_a_workspace_is_made_and_mlflow_takes_and_gives_back(place: Path) -> None:
    around = {path.name for path in place.parent.iterdir()}
    made = workspace.create(place, [], dirty=False)
    fingerprint.of(made.path)
    onnx = made.path / "models" / "onnx"
    onnx.mkdir(parents=True)
    (onnx / "model.onnx").write_text("onnx")
    logged_and_loaded(place, made.path)
    assert {path.name for path in place.parent.iterdir()} == around
    new = {".runs", "mlflow.db", "mlartifacts"}
    assert {path.name for path in place.iterdir()} - new - {".git"} == set(
        git(place, "ls-tree", "--name-only", "HEAD").split()
    )


def test_outs_that_are_links_into_the_cache_are_logged_as_files(
    project: Path, empty_mlflow: Path
) -> None:
    shutil.copy(empty_mlflow, project)
    cached, onnx = project / ".dvc" / "cache" / "object", project / "models" / "onnx"
    onnx.mkdir(parents=True)
    cached.parent.mkdir()
    cached.write_text("onnx")
    (onnx / "model.onnx").symlink_to(cached)
    logged_and_loaded(project, project)
    [logged] = (project / "mlartifacts").rglob("model.onnx")
    assert (logged.is_symlink(), logged.read_text()) == (False, "onnx")
    assert [path.name for path in onnx.parent.iterdir()] == ["onnx"]


def logged_and_loaded(place: Path, made: Path) -> None:
    """Registers the model in `made` with the MLflow of the project `place`, and lets it answer."""
    project = connection.check(place, Need.LOG)
    tags = {"dvc_lock": "0", "commit": "c0ffee"}
    with mlflow.start_run(experiment_id=project.experiment_id, tags=tags) as run:
        mlflow.log_text("a report", "reports/报告.html")
        versions.log_model(made, MODEL)
    number = versions.register(project.registry, project.client.get_run(run.info.run_id))
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/reports/报告.html") == "a report"
    loaded = predict.load(place, predict.Wanted(MODEL, f"models:/{MODEL}/{number}"))
    [row] = loaded.predict(pd.DataFrame({"text": ["他在北京"]}))
    assert [entity["text"] for entity in row["entities"]] == ["北京"]


@pytest.mark.slow  # twelve runs
@pytest.mark.timeout(600)
def test_a_run_and_a_prediction(place: Path) -> None:
    runs_and_predicts(place)


@pytest.mark.slow  # a run
@pytest.mark.timeout(600)
def test_a_run_with_a_cache_of_links(project: Path) -> None:
    done.call(project, "config", "--local", "cache.type", "symlink")
    runs_and_predicts(project)
    [made] = workspace.all_of(project)
    assert (made / "models" / "onnx" / "model.onnx").is_symlink()


def runs_and_predicts(place: Path) -> None:
    around = {path.name for path in place.parent.iterdir()}
    ran = standin.pipelines(place, "run")
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Registered msra-ner version 1, alias challenger\n" in ran.stdout
    found = standin.pipelines(place, "predict", "他在北京")
    assert (found.returncode, found.stdout.count('"北京"')) == (0, 1), found.stderr
    assert standin.pipelines(place, "run").stdout.startswith("Nothing to do: ")
    assert standin.pipelines(place, "gc").returncode == 0
    assert git(place, "status", "--porcelain", "--", ".") == ""
    assert {path.name for path in place.parent.iterdir()} == around


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("100%25", "has '%25', which MLflow decodes as in a URL, and then finds no model: rename"),
        ("$HOME", "has '$H', which the cache that DVC uses (diskcache) replaces by a variable"),
        ("${x}", "has '${', which the cache that DVC uses (diskcache) replaces by a variable"),
        ("%(x)s", "has '%(x)s', which DVC's configuration (ConfigObj) replaces by a setting"),
        ("\udce5", "is not UTF-8: rename that folder"),
    ],
)
def test_a_name_that_a_library_cannot_take_is_refused_at_once(
    tmp_path: Path, empty_mlflow: Path, name: str, said: str
) -> None:
    folder = tmp_path / name / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    (folder / "params.yaml").touch()
    with pytest.raises(PipelineError) as raised:
        begin(folder)
    assert said in str(raised.value)
    assert {path.name for path in folder.iterdir()} == {".dvc", "dvc.yaml", "params.yaml"}


def begin(folder: Path) -> None:
    """What `run` asks first."""
    places.require_project(folder)
    connection.check(folder, Need.LOG)


def test_a_server_takes_a_name_that_mlflow_here_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connection.URI, "http://127.0.0.1:1")
    assert connection.uri(tmp_path / "100%25") == "http://127.0.0.1:1"


@pytest.mark.slow  # so that all others end within eight minutes
def test_in_a_read_only_project_predict_works_and_the_others_say_so(
    registered: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(registered, folder)
    connection.check(folder)  # makes the experiment, as a run would have
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)  # root, which it does not hinder, becomes nobody
    found = alone(folder, "predict", "他在北京")
    assert (found.returncode, found.stdout[:2]) == (0, '{"'), found.stderr
    assert alone(folder, "status").returncode == 0
    said = (
        f"{folder} is read-only for this user: `predict` and `status` work there; to run, promote"
    )
    assert alone(folder, "run").stderr.startswith(said)
    checked = alone(folder, "machine", "{}", module="pipelines.doctor.checks")
    assert json.loads(checked.stdout.splitlines()[0])["message"] == said.partition(":")[0]
    for path in folders:
        path.chmod(0o755)


def alone(
    folder: Path, *arguments: str, module: str = "pipelines"
) -> "subprocess.CompletedProcess[str]":
    command = [*as_nobody(), sys.executable, "-m", module, *arguments]
    env = standin.clean_environment() | {"HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
