"""A workspace of a branch, tag or commit: fetched, and whatever the working tree holds."""

import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.errors import PipelineError
from pipelines.workspaces import git as asked
from pipelines.workspaces import workspace
from tests.pipelines.standin import commit, git
from tests.pipelines.workspaces.test_workspace import tree


@pytest.fixture
def clone(project: Path, tmp_path: Path) -> Path:
    """A clone whose origin, `project`, has gone on since, on main and on a branch of its own."""
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project), str(folder))
    (project / "stage.py").write_text("newer")
    commit(project)
    git(project, "tag", "v1")
    git(project, "branch", "side/way")
    return folder


def test_the_remotes_branch_is_fetched_and_the_tree_is_left_alone(
    project: Path, clone: Path
) -> None:
    (clone / "stage.py").write_text("edited, not committed")
    before = {name: at for name, at in tree(clone).items() if not name.startswith(".git/")}
    status = git(clone, "status", "--porcelain"), git(clone, "rev-parse", "HEAD", "main")
    made = workspace.create(clone, [], dirty=False, ref="main")
    assert made.commit == git(project, "rev-parse", "main").strip()
    assert (made.path / "stage.py").read_text() == "newer"
    assert made.dirty_diff == ""
    after = {name: at for name, at in tree(clone).items() if not name.startswith(".git/")}
    assert after == before
    assert status == (git(clone, "status", "--porcelain"), git(clone, "rev-parse", "HEAD", "main"))


@pytest.mark.parametrize("ref", ["v1", "side/way", "HEAD"])
def test_tags_branches_and_commits_are_found(project: Path, clone: Path, ref: str) -> None:
    newest = git(project, "rev-parse", "HEAD").strip()
    assert asked.resolve(clone, ref) == newest
    assert asked.resolve(clone, newest) == newest
    assert asked.resolve(clone, newest[:12]) == newest


def test_without_a_remote_a_branch_is_the_local_one(project: Path) -> None:
    first = git(project, "rev-parse", "HEAD").strip()
    git(project, "branch", "side")
    commit(project)
    assert asked.resolve(project, "side") == first


@pytest.mark.parametrize("ref", ["no/such", "--upload-pack=x", "HEAD:stage.py"])
def test_what_is_no_commit_is_named(project: Path, ref: str) -> None:
    with pytest.raises(PipelineError) as raised:
        workspace.create(project, [], dirty=False, ref=ref)
    assert str(raised.value).startswith(f"There is no branch, tag or commit {ref} here")
    assert not (project / ".runs").exists()


def test_a_remote_that_is_gone_is_said(project: Path, clone: Path) -> None:
    shutil.move(project, project.with_name("away"))
    with pytest.raises(PipelineError, match=r"^The Git remote origin does not say what it has"):
        workspace.create(clone, [], dirty=False, ref="main")


def test_overrides_are_the_last_overlay(project: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("train: {seed: 1, epochs: 9}")
    made = workspace.create(
        project, [overlay], dirty=False, overrides={"train": {"seed": 2, "learning_rate": 1}}
    )
    values = yaml.safe_load((made.path / "params.yaml").read_text())
    assert (values["train"]["seed"], values["train"]["epochs"]) == (2, 9)
    assert values["train"]["learning_rate"] == 1
    with pytest.raises(PipelineError, match=r"the run's overrides line 1: train\.epochs: .*'many'"):
        workspace.create(project, [], dirty=False, overrides={"train": {"epochs": "many"}})
