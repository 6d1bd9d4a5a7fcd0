"""Which commit `ref` names, as the remote has it now; and Git under the user's settings."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.workspaces.git import changes, commit, diff, resolve
from tests.pipelines.standin import git


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two commits on main, a branch `exp` and a tag `prod`, both at the first."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    on(folder, "exp")
    git(folder, "tag", "prod")
    on(folder, "main")
    return folder


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


def on(folder: Path, branch: str) -> str:
    """A new commit there on `branch`, which is made if need be; the only one with its files."""
    names = git(folder, "branch", "--format=%(refname:short)").split()
    if branch != git(folder, "branch", "--show-current").strip():
        git(folder, "checkout", "--quiet", *([] if branch in names else ["-b"]), branch)
    (folder / "file").write_text(os.urandom(8).hex())
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", branch)
    return head(folder)


def head(folder: Path, name: str = "HEAD") -> str:
    return git(folder, "rev-parse", f"{name}^{{commit}}").strip()


def local(folder: Path) -> tuple[str, bool]:
    """All refs there, and whether a fetch left its note."""
    return git(folder, "show-ref", "--head"), (folder / ".git" / "FETCH_HEAD").exists()


def refused(project: Path, ref: str) -> str:
    with pytest.raises(PipelineError) as raised:
        resolve(project, ref)
    return str(raised.value)


def test_a_tag_that_was_moved_means_its_new_commit(origin: Path, clone: Path) -> None:
    before = local(clone)
    git(origin, "tag", "--force", "prod", on(origin, "main"))
    assert resolve(clone, "prod") == head(origin, "prod") != head(clone, "prod")
    git(origin, "tag", "--force", "--annotate", "--message", "to production", "prod")
    assert resolve(clone, "prod") == resolve(clone, "refs/tags/prod") == head(origin)
    assert local(clone) == before


def test_a_branch_that_is_gone_at_the_remote_is_none(origin: Path, clone: Path) -> None:
    git(clone, "branch", "exp", "origin/exp")
    before = local(clone)
    git(origin, "branch", "-D", "exp")
    for ref in ("exp", "origin/exp", "refs/remotes/origin/exp"):
        said = refused(clone, ref)
        assert said.startswith(
            f"There is no branch, tag or commit {ref} at origin: correct ref, or"
        )
    assert local(clone) == before


def test_a_branch_below_the_name_of_one_that_is_gone_harms_no_ref(
    origin: Path, clone: Path
) -> None:
    git(origin, "branch", "-D", "exp")
    newest = on(origin, "exp/lr")
    assert resolve(clone, "main") == head(origin, "main")
    assert resolve(clone, "exp/lr") == resolve(clone, "origin/exp/lr") == newest


@pytest.mark.parametrize("depth", [[], ["--depth", "1"]], ids=["whole", "shallow"])
def test_several_resolve_at_once(origin: Path, tmp_path: Path, depth: list[str]) -> None:
    git(tmp_path, "clone", "--quiet", *depth, f"file://{origin}", "clone")
    before = local(tmp_path / "clone")
    refs = {f"side/{number}": on(origin, f"side/{number}") for number in range(4)} | {
        "main": on(origin, "main")
    }
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda ref: resolve(tmp_path / "clone", ref), refs))
    assert found == list(refs.values())
    assert local(tmp_path / "clone") == before
    for made in found:
        git(tmp_path / "clone", "read-tree", "--dry-run", made)


def test_a_branch_and_a_tag_of_one_name_are_both_named(origin: Path, clone: Path) -> None:
    git(origin, "tag", "main", "exp")
    said = "main names different commits at origin: give refs/heads/main or refs/tags/main as ref"
    assert refused(clone, "main") == said
    assert resolve(clone, "refs/tags/main") == resolve(clone, "tags/main") == head(origin, "exp")
    assert resolve(clone, "heads/main") == head(origin, "refs/heads/main")
    git(origin, "tag", "--force", "main", "refs/heads/main")
    assert resolve(clone, "main") == head(origin, "refs/heads/main")
    git(clone, "remote", "remove", "origin")
    git(clone, "tag", "main", "prod")
    assert refused(clone, "main") == said.replace("at origin", "here")


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("depth", [[], ["--depth", "1"]], ids=["whole", "shallow"])
def test_a_hash_that_no_branch_names(
    origin: Path, tmp_path: Path, depth: list[str], version: int
) -> None:
    """By protocol 0 a server gives away only what a branch or a tag names."""
    git(tmp_path, "clone", "--quiet", *depth, f"file://{origin}", "clone")
    git(tmp_path / "clone", "config", "protocol.version", str(version))
    older, _ = on(origin, "main"), on(origin, "main")
    assert resolve(tmp_path / "clone", older[:9]) == older
    assert resolve(tmp_path / "clone", older.upper()) == older
    git(tmp_path / "clone", "read-tree", "--dry-run", older)
    missing = "1234567" * 5 + "12345"
    assert refused(tmp_path / "clone", missing).startswith("There is no branch, tag or commit 1234")


def test_a_name_that_looks_like_a_hash_is_the_remotes_name(origin: Path, clone: Path) -> None:
    git(clone, "branch", "beef", "origin/exp")
    assert refused(clone, "beef").startswith("There is no branch, tag or commit beef at origin")
    assert resolve(clone, head(clone)[:6]) == head(clone)
    newest = on(origin, "beef")
    assert resolve(clone, "beef") == newest


def test_a_hash_that_is_here_needs_no_remote(origin: Path, clone: Path) -> None:
    origin.rename(origin.with_name("away"))
    assert resolve(clone, head(clone)) == head(clone)
    said = refused(clone, "main")
    assert said.startswith("The Git remote origin does not say what it has (git ls-remote: fatal: ")
    assert said.endswith("a commit that is here needs no remote if ref is its full hash")


def test_another_remote_is_asked_where_none_is_origin(origin: Path, clone: Path) -> None:
    git(clone, "remote", "rename", "origin", "team")
    newest = on(origin, "main")
    assert resolve(clone, "main") == resolve(clone, "team/main") == newest


def test_a_worktree_and_a_subfolder_without_a_remote(origin: Path, tmp_path: Path) -> None:
    git(origin, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"), "exp")
    (origin / "below").mkdir()
    assert resolve(tmp_path / "tree", "main") == resolve(origin / "below", "main") == head(origin)
    assert resolve(tmp_path / "tree", "HEAD") == head(origin, "exp")


def test_settings_by_variable_reach_git(
    origin: Path, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(clone, "remote", "set-url", "origin", "team:project")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{origin}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "team:project")
    assert resolve(clone, "main") == head(origin)
    monkeypatch.delenv("GIT_CONFIG_COUNT")
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec git-upload-pack "{origin}"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    newest = on(origin, "main")
    assert resolve(clone, "main") == newest


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_trusted_by_variable(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = head(clone)
    for path in (clone, clone / ".git"):
        os.chown(path, 65534, 65534)
    with pytest.raises(PipelineError, match=r"dubious ownership"):
        commit(clone)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(clone))
    assert commit(clone) == here


def test_a_hooks_variables_do_not_name_the_repository(
    origin: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(origin, "main")
    (clone / "file").write_text("edited")
    monkeypatch.setenv("GIT_DIR", str(origin / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(origin))
    monkeypatch.setenv("GIT_INDEX_FILE", str(origin / ".git" / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(origin / ".git" / "objects"))
    assert commit(clone) == (clone / ".git/refs/heads/main").read_text().strip()
    assert changes(clone) == ["file"]


def test_a_diff_can_be_applied_whatever_the_users_settings(
    origin: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (origin / "file").write_text("".join(f"{line}\n" for line in range(40)))
    git(origin, "commit", "--quiet", "--all", "--message", "lines")
    git(clone, "pull", "--quiet")
    (clone / "file").write_text("".join(f"{line}\n" for line in range(41) if line != 20))
    for setting in ("diff.noprefix true", "diff.context 0", "diff.it.textconv wc"):
        git(clone, "config", *setting.split())
    (clone / ".git" / "info" / "attributes").write_text("* diff=it\n")
    monkeypatch.setenv("GIT_DIFF_OPTS", "-u0")
    (origin / "dirty.diff").write_text(diff(clone, "HEAD"))
    git(origin, "apply", "dirty.diff")
    assert (origin / "file").read_text() == (clone / "file").read_text()
