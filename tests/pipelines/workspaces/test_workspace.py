"""A run's own copy: what it holds, what it refuses, and that the user's tree is left alone."""

import hashlib
import os
import stat
import sys
from pathlib import Path

import pytest
from dvc.config import Config
from dvc.repo import Repo

from pipelines.errors import PipelineError
from pipelines.workspaces import workspace
from tests.pipelines.standin import commit, git


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder` with its hash and mode, .runs aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        ).hexdigest()
        + oct(path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
        if (path.is_file() or path.is_symlink()) and ".runs" not in path.parts
    }


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", ".runs"} & set(path.relative_to(folder).parts)
    }


def test_a_clean_workspace_holds_the_files_of_head(project: Path) -> None:
    made = workspace.create(project, [], dirty=False)
    assert made.path == project / ".runs" / made.run_id
    assert made.commit == git(project, "rev-parse", "HEAD").strip()
    assert made.dirty_diff == ""
    assert made.params_sha256 == hashlib.sha256((project / "params.yaml").read_bytes()).hexdigest()
    copied = content(made.path)
    del copied[".dvc/config.local"], copied[workspace.RECORD]
    assert copied == content(project)


def test_the_users_tree_is_left_byte_for_byte(project: Path, tmp_path: Path) -> None:
    (project / "stage.py").touch()  # so that Git's index has something to refresh
    (project / "notes.txt").write_text("mine")
    status = ("--no-optional-locks", "status", "--porcelain")
    before = tree(project), git(project, *status)
    changed = tmp_path / "changed.yaml"
    changed.write_text("train: {seed: 1}")
    made = workspace.create(project, [changed], dirty=True)
    (made.path / "stage.py").write_text("changed in the workspace")
    assert (tree(project), git(project, *status)) == before
    assert [p.name for p in (project / ".runs").iterdir()] == [made.run_id]


def test_modes_links_and_names_are_kept(project: Path) -> None:
    script = project / "a b" / "跑.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (project / "link").symlink_to("a b/跑.sh")
    (project / ".gitattributes").write_text("stage.py export-ignore\n")
    commit(project)
    for dirty in (False, True):
        made = workspace.create(project, [], dirty=dirty)
        assert stat.S_IMODE((made.path / "a b" / "跑.sh").stat().st_mode) & 0o111 == 0o111
        assert (made.path / "link").readlink() == Path("a b/跑.sh")
        assert (made.path / "stage.py").is_file()


def test_uncommitted_changes_are_refused_by_name(project: Path) -> None:
    (project / "stage.py").write_text("edited")
    (project / "new.py").write_text("untracked")
    with pytest.raises(PipelineError, match=r"^Uncommitted changes in .*--dirty$") as raised:
        workspace.create(project, [], dirty=False)
    assert "stage.py" in str(raised.value)
    assert "new.py" in str(raised.value)
    assert not (project / ".runs").exists()


def test_dirty_takes_the_tree_as_it_is_and_records_it(project: Path) -> None:
    (project / "stage.py").write_text("edited\n")
    (project / "new.py").write_text("untracked\n")
    (project / ".gitattributes").unlink(missing_ok=True)
    (project / "models").mkdir()
    (project / "models" / "weights").write_text("ignored")
    made = workspace.create(project, [], dirty=True)
    assert (made.path / "stage.py").read_text() == "edited\n"
    assert (made.path / "new.py").read_text() == "untracked\n"
    assert not (made.path / "models").exists()
    assert made.dirty_diff.startswith("# untracked: new.py\ndiff --git a/stage.py b/stage.py\n")
    assert "\n+edited\n" in made.dirty_diff


def test_no_other_user_can_read_its_dvc_settings_at_any_time(project: Path) -> None:
    seen: list[int] = []

    def look(_frame: object, event: str, called: object) -> None:
        if event == "c_return" and getattr(called, "__name__", "") in ("open", "chmod", "replace"):
            files = (project / ".runs").glob(".*.partial/.dvc/config.local")
            seen.extend(stat.S_IMODE(file.stat().st_mode) for file in files)

    before = os.umask(0)
    sys.setprofile(look)
    try:
        workspace.create(project, [], dirty=True)
    finally:
        sys.setprofile(None)
        os.umask(before)
    assert set(seen) == {0o600}


def test_a_deleted_file_is_not_copied(project: Path) -> None:
    (project / "stage.py").unlink()
    made = workspace.create(project, [], dirty=True)
    assert not (made.path / "stage.py").exists()
    assert "deleted file" in made.dirty_diff


def test_a_project_below_the_top_of_its_repository(project: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    inner = top / "ner"
    inner.parent.mkdir()
    project.rename(inner)
    (inner / ".git").rename(top / ".git")
    commit(top)
    made = workspace.create(inner, [], dirty=False)
    assert (made.path / "dvc.yaml").is_file()
    (inner / "stage.py").write_text("edited\n")
    (top / "elsewhere").write_text("not of the project")
    with pytest.raises(PipelineError, match=r"^Uncommitted changes in stage\.py:"):
        workspace.create(inner, [], dirty=False)
    assert "a/stage.py" in workspace.create(inner, [], dirty=True).dirty_diff


def test_no_repository_and_no_commit_are_said(project: Path) -> None:
    (project / ".git").rename(project.parent / "away")
    with pytest.raises(PipelineError, match=r"is in no Git repository .*git init"):
        workspace.create(project, [], dirty=True)
    git(project, "init", "--quiet")
    with pytest.raises(PipelineError, match=r"has no commit yet: .*--dirty"):
        workspace.create(project, [], dirty=False)
    made = workspace.create(project, [], dirty=True)
    assert made.commit is None
    assert "# untracked: stage.py\n" in made.dirty_diff


def test_the_cache_is_the_projects_and_type_links_where_it_can(project: Path) -> None:
    with Repo(str(workspace.create(project, [], dirty=False).path)) as repo:
        assert repo.cache.local_cache_dir == str(project / ".dvc" / "cache")
        assert repo.config["cache"]["type"] == ["reflink", "hardlink", "copy"]
        assert repo.config["core"]["no_scm"] is True
        assert Path(repo.site_cache_dir).is_relative_to(repo.root_dir)


def test_the_users_own_dvc_settings_hold_with_their_paths(project: Path) -> None:
    with Config(str(project / ".dvc")).edit("local") as local:
        local["cache"] = {"dir": str(project.parent / "elsewhere"), "type": "symlink"}
    with (project / ".dvc" / "config").open("a") as file:
        file.write("['remote \"store\"']\n    url = ../../store\n")
    commit(project)
    made = workspace.create(project, [], dirty=False)
    with Repo(str(made.path)) as repo:
        assert repo.cache.local_cache_dir == str(project.parent / "elsewhere")
        assert repo.config["cache"]["type"] == ["symlink"]
        assert os.path.normpath(repo.config["remote"]["store"]["url"]) == str(
            project.parent / "store"
        )


def test_an_ignored_dvc_lock_comes_along(project: Path) -> None:
    (project / ".git" / "info" / "exclude").write_text("dvc.lock\n")
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    made = workspace.create(project, [], dirty=False)
    assert (made.path / "dvc.lock").read_text() == "schema: '2.0'\n"


def test_a_folder_that_is_no_project_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"has no dvc\.yaml: run from the project's own folder"):
        workspace.create(tmp_path, [], dirty=True)


def test_a_workspace_is_found_by_how_its_id_begins(project: Path) -> None:
    (project / "stage.py").write_text("edited\n")
    made = workspace.create(project, [], dirty=True)
    made = workspace.belonging_to(made, "prefect-id", None)
    other = workspace.create(project, [], dirty=True)
    assert workspace.all_of(project) == sorted([made.path, other.path], reverse=True)
    assert workspace.find(project, made.run_id) == made
    for begin, count in (("", 2), ("2", 2), ("x", 0)):
        with pytest.raises(PipelineError, match=f"^{count} runs in .* {made.run_id}"):
            workspace.find(project, begin)
