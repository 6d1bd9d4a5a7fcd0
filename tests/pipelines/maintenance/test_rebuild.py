"""A registered version made anew: equal, or what differs first."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.cli.app import main
from pipelines.dvc_repo import lockfile
from pipelines.tracking import connection, run_log
from pipelines.workspaces import run_state, workspace
from tests.pipelines import done, standin
from tests.pipelines.logged import runs


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A project with version 1, of an overlay, and a commit that came after it."""
    project = standin.project(tmp_path_factory.mktemp("rebuild") / "project")
    shutil.copy(empty_mlflow, project)
    made = done.run(project, 0.25)
    connection.connect(project).set_tag(
        run_log.log_run(connection.check(project), made).run_id, "dirty", "false"
    )
    (project / "stage.py").write_text("import sys; sys.exit('another commit')\n")
    standin.commit(project)
    return project


@pytest.fixture
def rebuild(once: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """`rebuild(VERSION)` gives exit code, what was printed, and the workspace."""
    monkeypatch.chdir(once)

    def rebuild(version: str):
        code = main(["rebuild", version])
        out, err = capsys.readouterr()
        return code, out, err, workspace.all_of(once)[0]

    return rebuild


def test_an_equal_version_is_made_of_its_own_commit_and_parameters(
    once: Path, rebuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NER_WITH_IMAGE", "")  # so that it is as it was afterwards
    client = connection.connect(once)
    [logged] = runs(client)
    client.set_tag(logged.info.run_id, "image", "sha256:0ld")
    try:
        code, out, err, path = rebuild("challenger")
    finally:
        client.delete_tag(logged.info.run_id, "image")
    assert code == 0, err
    assert out == (
        f"Version 1 is identical: all 14 outs. Workspace: {path}\n"
        "Image: none (NER_RUNTIME=local), recorded: sha256:0ld\n"
    )
    assert os.environ["NER_WITH_IMAGE"] == "sha256:0ld"
    for stage in ("download", "align", "train", "evaluate", "export"):
        assert f"{stage}: at work" in err  # although DVC has it all
    assert yaml.safe_load((path / "params.yaml").read_text())["train"]["learning_rate"] == 0.25
    assert run_state.word(path) == "complete"
    assert len(runs(connection.connect(once))) == 1
    assert standin.git(once, "status", "--porcelain") == ""


@pytest.mark.slow  # seven seconds
def test_the_first_difference_is_named_and_what_comes_after_it_is_not_run(
    once: Path, rebuild
) -> None:
    client = connection.connect(once)
    [logged] = runs(client)
    lock = Path(client.download_artifacts(logged.info.run_id, "dvc.lock")).read_text()
    [old] = [
        out["md5"]
        for out in yaml.safe_load(lock)["stages"]["train"]["outs"]
        if out["path"] == "models/ner"
    ]
    listed = once / ".dvc" / "cache" / "files" / "md5" / old[:2] / old[2:]
    [weights] = yaml.safe_load(listed.read_text())
    was = listed.read_text().replace(weights["md5"], "0" * 32)
    other = once / ".dvc" / "cache" / "files" / "md5" / "77" / f"{'7' * 30}.dir"
    other.parent.mkdir(exist_ok=True)
    other.write_text(was)
    client.log_text(logged.info.run_id, lock.replace(old, f"{'7' * 32}.dir"), "dvc.lock")
    try:
        code, out, err, path = rebuild("1")
    finally:
        client.log_text(logged.info.run_id, lock, "dvc.lock")
    assert (code, out) == (9, "")
    said = err.splitlines()[-1]
    assert said.startswith(
        f"Version 1 of msra-ner differs, first in stage train: out models/ner/weights has MD5"
        f" {weights['md5']}, it had {'0' * 32}. Image: none (NER_RUNTIME=local), recorded: none; "
    )
    assert said.endswith("; same packages")
    assert "export: at work" not in err
    assert run_state.word(path) == "failed"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("9", "There is no version 9 of msra-ner. The newest is 1."),
        ("champion", "No version of msra-ner has the alias 'champion'. Name a version,"),
        ("../1", "No version of msra-ner has the alias '../1'. Name a version,"),
    ],
)
def test_what_there_is_not_is_said(rebuild, version: str, said: str) -> None:
    code, _, err, _ = rebuild(version)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(said)


def test_uncommitted_changes_cannot_be_made_anew(once: Path, rebuild) -> None:
    client = connection.connect(once)
    [logged] = runs(client)
    client.set_tag(logged.info.run_id, "dirty", "true")
    try:
        code, _, err, _ = rebuild("1")
    finally:
        client.set_tag(logged.info.run_id, "dirty", "false")
    assert code == 1
    assert err.startswith(
        "Version 1 of msra-ner was made from uncommitted changes and cannot be rebuilt:"
        " commit dirty.diff of run "
    )


@pytest.mark.slow  # ten seconds
def test_data_whose_source_is_unpinned_comes_from_dvc(
    project: Path, empty_mlflow: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    shutil.copy(empty_mlflow, project)
    params = project / "params.yaml"
    given = yaml.safe_load(params.read_text())
    given["download"]["test"] |= {"bytes": None, "git_blob": None, "sha256": "unpinned"}
    params.write_text(yaml.safe_dump(given))
    standin.commit(project)
    run_log.log_run(connection.check(project), done.run(project))
    monkeypatch.chdir(project)
    assert main(["rebuild", "1"]) == 0
    err = capsys.readouterr().err
    assert "download: its sources may change, so the data comes from DVC by its hash" in err
    assert "download: at work" not in err
    assert "align: at work" in err
    shutil.rmtree(project / ".dvc" / "cache")
    assert main(["rebuild", "1"]) == 1
    assert " is missing, and DVC cannot pull it: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"cmd": "y"}, "its command is 'y', it was 'x'"),
        ({"params": {"params.yaml": {"train": 2}}}, "its parameters are {'params.yaml': {'train'"),
        ({"deps": [{"path": "a.py", "md5": "2"}]}, "input a.py has MD5 2, it had 1"),
        ({"deps": []}, "input a.py has MD5 None, it had 1"),
        ({"outs": [{"path": "o", "md5": "5.dir"}]}, "out o has MD5 5.dir, it had 4"),
        ({}, None),
    ],
)
def test_inputs_come_before_outs(project: Path, now: dict, said: str | None) -> None:
    was = {
        "cmd": "x",
        "params": {"params.yaml": {"train": 1}},
        "deps": [{"path": "a.py", "md5": "1"}],
        "outs": [{"path": "o", "md5": "4"}],
    }
    found = lockfile.difference(project, was, {**was, **now})
    assert found == said or (said is not None and found.startswith(said))
