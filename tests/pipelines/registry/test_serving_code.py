"""The code that serves is a part of a version: carried, hashed, registered anew when changed."""

import ast
import shutil
from pathlib import Path

import mlflow
import pytest

from pipelines.dvc_repo import lockfile
from pipelines.errors import NothingToDo, PipelineError
from pipelines.flows import up_to_date
from pipelines.names import MODEL
from pipelines.registry import keys, serving_code
from pipelines.tracking import connection, run_log
from pipelines.workspaces import workspace
from tests.conftest import ROOT


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """What a workspace has of this repository's code."""
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    (tmp_path / serving_code.PYFUNC).parent.mkdir(parents=True)
    shutil.copy(ROOT / serving_code.PYFUNC, tmp_path / serving_code.PYFUNC)
    return tmp_path


def test_what_the_model_imports_is_carried_and_nothing_else(code: Path) -> None:
    copied = serving_code.copy_stages(code, code / "copy")
    names = {path.relative_to(copied).as_posix() for path in copied.rglob("*.py")}
    assert {"__init__.py", "serving/__init__.py", "serving/tagger.py"} < names
    assert {"contract/hashing.py", "text/labels.py", "model/decode.py"} < names
    assert not {name for name in names if name.startswith(("train", "report"))}
    scoring = {name for name in names if name.startswith("scoring")}
    assert scoring == {"scoring/__init__.py", "scoring/temperature.py"}
    pyfunc = ast.parse((code / serving_code.PYFUNC).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(pyfunc) if isinstance(node, ast.Call)]
    imported = [c.args[0] for c in calls if ast.unparse(c.func) == "importlib.import_module"]
    wanted = {ast.unparse(name).replace("{stages}", "stages")[2:-1] for name in imported}
    assert wanted == set(serving_code.IMPORTED)


def test_its_hash_is_of_that_code_and_the_packages(code: Path, monkeypatch) -> None:
    before = serving_code.sha256(code)
    for name in ("stages/report/page.py", "stages/training/loop.py", "stages/align.py"):
        with (code / name).open("a") as file:
            file.write("# edited\n")
    assert serving_code.sha256(code) == before
    seen = {before}
    for name in (
        "pipelines/registry/pyfunc_model.py",
        "stages/serving/tagger.py",
        "stages/contract/hashing.py",
        "stages/text/windows.py",
    ):
        with (code / name).open("a") as file:
            file.write("# edited\n")
        seen.add(serving_code.sha256(code))
    monkeypatch.setattr(serving_code, "version", lambda _name: "0.0")
    seen.add(serving_code.sha256(code))
    assert len(seen) == 6


def test_a_commit_without_it_is_refused_before_its_stages_run(code: Path) -> None:
    (code / "stages" / "serving" / "tagger.py").unlink()
    with pytest.raises(
        PipelineError, match=r"^The model cannot be registered: the code of .*tagger"
    ):
        serving_code.sha256(code)
    (code / serving_code.PYFUNC).unlink()
    with pytest.raises(PipelineError, match=r"^The run's commit has no .*pyfunc_model\.py, so its"):
        serving_code.pyfunc(code)


def test_a_serving_fix_is_a_new_version_of_the_same_result(
    one_version: Path, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(one_version, tmp_path / "project", symlinks=True))
    connected = connection.check(project)
    client = connected.client
    made = workspace.find(project, workspace.all_of(project)[0].name)
    first = run_log.log_run(connected, made)
    assert (first.version, first.already_logged) == ("1", True)
    up_to_date.remember(connected, made, first, pushed=True)
    with pytest.raises(NothingToDo):
        up_to_date.require_change(connected, made)

    # Of the workspace, as the commit has it; the working tree's has no part in it.
    (project / serving_code.PYFUNC).write_text("no Python")
    with (made.path / serving_code.PYFUNC).open("a") as file:
        file.write("# fixed\n")
    up_to_date.require_change(connected, made)
    fixed = run_log.log_run(connected, made)
    assert (fixed.version, fixed.already_logged) == ("2", False)
    tags = [keys.tags(client.get_model_version(MODEL, number)) for number in ("1", "2")]
    assert {each["dvc_lock"] for each in tags} == {lockfile.sha256(made.path / "dvc.lock")}
    assert len({each["serving_sha256"] for each in tags}) == 2
    model = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/2"))
    assert (model / "pyfunc_model.py").read_text().endswith("# fixed\n")
    assert run_log.log_run(connected, made).version == "2"
