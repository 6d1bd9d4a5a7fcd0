"""`bring`: after it `dvc repro` in the user's own tree finds everything done."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.app import main
from pipelines.dvc_repo.stages import folder_md5
from pipelines.errors import PipelineError
from pipelines.maintenance.bring import Brought, bring
from pipelines.workspaces import run_state, workspace
from tests.pipelines import done, standin
from tests.pipelines.dvc_repo.test_remote import set_remote


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    project = standin.project(tmp_path_factory.mktemp("bring") / "project")
    shutil.copy(empty_mlflow, project)
    done.run(project, 0.5)
    return project


@pytest.fixture
def project(ready: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready, tmp_path / "project", symlinks=True))


def newest(project: Path) -> str:
    return workspace.all_of(project)[0].name


@pytest.mark.parametrize(
    "by", ["run", *(pytest.param(by, marks=pytest.mark.slow) for by in ("version", "alias"))]
)
def test_other_parameters_are_named_and_can_be_brought_too(project: Path, by: str) -> None:
    what = {"run": newest(project), "version": "1", "alias": "challenger"}[by]
    before = (project / "params.yaml").read_bytes()
    said = r"train\.learning_rate is 0\.0002 here and 0\.5 there\."
    with pytest.raises(PipelineError, match=said):
        bring(project, what, with_params=False)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "dvc.lock").exists()
    brought = bring(project, what, with_params=True)
    assert brought == Brought(["params.yaml", "dvc.lock"], [], None)
    said = done.repro(project)
    assert "Running stage" not in said
    assert (project / "models" / "ner" / "weights").read_text() == "0.5"
    assert (project / "reports" / "metrics.json").is_file()
    assert standin.git(project, "status", "--porcelain").split() == [
        "M",
        "params.yaml",
        "??",
        "dvc.lock",
    ]


def test_parameters_that_no_stage_reads_may_differ(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    text = text.replace("\n  learning_rate: 0.0002\n", "\n  learning_rate: 0.5\n")
    text = text.replace("keep_workspaces: 5", "keep_workspaces: 9")
    (project / "params.yaml").write_text(text)
    assert bring(project, newest(project), with_params=False).names == ["dvc.lock"]
    assert "Running stage" not in done.repro(project)


def test_other_code_is_named(project: Path) -> None:
    with (project / "stage.py").open("a") as file:
        file.write("# edited\n")
    with (project / "dvc.yaml").open("a") as file:
        file.write("  more: {cmd: 'true'}\n")
    with pytest.raises(
        PipelineError, match=r"differ from your tree: dvc\.yaml; stage\.py\. Change"
    ):
        bring(project, newest(project), with_params=True)
    assert not (project / "dvc.lock").exists()


def test_other_code_in_a_folder_is_named_and_bytecode_is_none(project: Path) -> None:
    made = newest(project)
    [path] = [path for path in workspace.all_of(project) if path.name == made]
    code = {"path": "stages/text", "hash": "md5", "md5": folder_md5(project, "stages/text")}
    lock = yaml.safe_load((path / "dvc.lock").read_text())
    lock["stages"]["train"]["deps"].append(code)
    (path / "dvc.lock").write_text(yaml.safe_dump(lock))
    (project / "stages/text/__pycache__").mkdir()
    (project / "stages/text/__pycache__/cells.pyc").touch()
    bring(project, made, with_params=True)
    (project / "dvc.lock").unlink()
    (project / "stages/text/more.py").touch()
    with pytest.raises(PipelineError, match=r"differ from your tree: stages/text\. Change"):
        bring(project, made, with_params=True)


def test_a_run_that_failed_or_is_not_there_is_said(project: Path) -> None:
    run_state.mark(workspace.all_of(project)[0], "failed", "Stage train failed with exit code 1")
    with pytest.raises(PipelineError, match=r"is failed \(Stage train failed .*not all done$"):
        bring(project, newest(project), with_params=False)
    with pytest.raises(PipelineError, match=r"^There is no version 7 of msra-ner\. "):
        bring(project, "7", with_params=False)
    with pytest.raises(PipelineError, match=r"has the alias 'champion'. Name a version"):
        bring(project, "champion", with_params=False)


STAGES = ["download", "align", "train", "evaluate", "export"]


@pytest.mark.parametrize("lost", [STAGES, ["train"]], ids=["all", "one"])
def test_what_the_cache_lacks_is_what_repro_runs_again(project: Path, lost: list[str]) -> None:
    cache = project / ".dvc" / "cache"
    [folder] = [o["md5"] for o in lock(project)["train"]["outs"] if o["path"] == "models/ner"]
    shutil.rmtree(cache if lost == STAGES else cache / "files" / "md5" / folder[:2])
    brought = bring(project, newest(project), with_params=True)
    assert (brought.not_cached, brought.remote) == (lost, None)
    said = done.repro(project)
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in said] == lost


def test_what_the_cache_lacks_is_pulled_from_the_remote(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    set_remote(project, f"    url = {tmp_path / 'store'}\n")
    made = workspace.all_of(project)[0]
    shutil.copy(made / "dvc.lock", project)
    done.call(project, "push")
    shutil.rmtree(project / ".dvc" / "cache")
    assert main(["bring", made.name, "--params"]) == 0
    assert capsys.readouterr().out == (
        "Wrote params.yaml and dvc.lock. DVC's cache lacks outs of download, align, train,"
        " evaluate, export: `dvc pull` fetches them from the DVC remote store; those that it does"
        " not have, `dvc repro` makes again\n"
    )
    done.call(project, "pull")
    main(["bring", made.name])
    has = "DVC's cache has all outs: `dvc repro` checks them out and runs no stage"
    assert capsys.readouterr().out == f"Wrote dvc.lock. {has}\n"
    assert "Running stage" not in done.repro(project)


def lock(project: Path) -> dict[str, Any]:
    """The stages in the dvc.lock of the only run."""
    [made] = workspace.all_of(project)
    return dict(yaml.safe_load((made / "dvc.lock").read_text())["stages"])
