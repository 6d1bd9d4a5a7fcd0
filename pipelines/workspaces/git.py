"""Reads the project's Git repository; writes nothing in the user's tree, not even the index.

Only `resolve` writes below .git: the objects and branches that it fetches.
"""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.errors import PipelineError

RUN_S = 600.0  # a remote that stops answering would block a scheduled run, and so the next one


def commit(project: Path) -> str | None:
    """The commit of HEAD; None before the first one.

    Raises:
        PipelineError: if `project` is in no repository, or Git is not installed.
    """
    try:
        run(project, "rev-parse", "--is-inside-work-tree")
    except PipelineError as error:
        raise PipelineError(
            f"{project} is in no Git repository that Git can read ({error}): clone the project, or"
            " run `git init` and commit it"
        ) from None
    try:
        return run(project, "rev-parse", "--quiet", "--verify", "HEAD").strip()
    except PipelineError:
        return None


def resolve(project: Path, ref: str) -> str:
    """The commit of a branch, tag or commit id, fetched first where there is a remote.

    The remote's branch is taken, not a local one of the same name that may be behind it.

    Raises:
        PipelineError: if the remote does not answer, or there is no such commit.
    """
    remotes = run(project, "remote").split()
    names = [ref]
    if remotes:
        remote = "origin" if "origin" in remotes else remotes[0]
        no_prompt = {"GIT_TERMINAL_PROMPT": "0"}
        run(project, "fetch", "--quiet", "--no-write-fetch-head", remote, **no_prompt)
        names = [f"refs/remotes/{remote}/{ref}", ref]
    for name in names:
        try:
            options = ("--quiet", "--verify", "--end-of-options")
            return run(project, "rev-parse", *options, f"{name}^{{commit}}").strip()
        except PipelineError:
            continue
    where = f"at {remote} or here" if remotes else "here"
    raise PipelineError(f"There is no branch, tag or commit {ref} {where}: correct ref, or push it")


def changes(project: Path) -> list[str]:
    """The files that differ from HEAD, and the untracked ones that Git does not ignore."""
    entries = run(
        project, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."
    )
    top = Path(run(project, "rev-parse", "--show-toplevel").rstrip("\n"))
    return [
        os.path.relpath(top / entry[3:], project.resolve())
        for entry in entries.split("\0")
        if entry
    ]


def diff(project: Path, head: str | None) -> str:
    """`git diff HEAD`, after the names of untracked files; empty if nothing differs."""
    untracked = _names(project, "--others", *([] if head else ["--cached"]))
    named = "".join(f"# untracked: {name}\n" for name in untracked)
    if head is None:
        return named
    flags = ("--binary", "--no-color", "--no-ext-diff", "--relative")
    with TemporaryDirectory() as folder:
        # `diff` writes the index that it refreshes, despite GIT_OPTIONAL_LOCKS: give it a copy.
        index = shutil.copy(project / run(project, "rev-parse", "--git-path", "index")[:-1], folder)
        return named + run(project, "diff", *flags, head, "--", ".", GIT_INDEX_FILE=index)


def files(project: Path) -> list[Path]:
    """The existing files that are tracked, or untracked and not ignored."""
    paths = (project / name for name in _names(project, "--cached", "--others"))
    return [path for path in paths if path.is_symlink() or path.is_file()]


def check_out(project: Path, head: str, folder: Path, index: Path) -> None:
    """Writes the files of commit `head` below `folder`, through the separate index `index`.

    Not `git archive`: it omits what .gitattributes marks `export-ignore`. Not `git worktree`: it
    costs the same (0.1 CPU seconds), writes six files into the user's .git that stay when the
    folder is deleted, and checks out the whole repository where the project is a subfolder.
    """
    tree = run(project, "rev-parse", f"{head}:./").strip()
    top = Path(run(project, "rev-parse", "--show-toplevel").rstrip("\n"))
    env = {"GIT_INDEX_FILE": str(index)}
    run(top, "read-tree", tree, **env)
    run(top, "checkout-index", "--all", f"--prefix={folder}/", **env)
    index.unlink()


def run(folder: Path, *arguments: str, **env: str) -> str:
    """Runs Git in `folder`; returns its output.

    Raises:
        PipelineError: with Git's message.
    """
    # A hook's variables name the hook's repository, and `status` would refresh the user's index.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **env},
            check=True,
            capture_output=True,
            timeout=RUN_S,
        )
    except subprocess.TimeoutExpired:
        raise PipelineError(
            f"git {arguments[0]} did not finish within {RUN_S:.0f} s: try it by hand"
        ) from None
    except FileNotFoundError:
        raise PipelineError("git is not installed, or not on PATH") from None
    except subprocess.CalledProcessError as error:
        message = " ".join(error.stderr.decode(errors="replace").split())
        raise PipelineError(f"git {arguments[0]}: {message}") from None
    return os.fsdecode(done.stdout)


def _names(project: Path, *which: str) -> list[str]:
    listed = run(project, "ls-files", "-z", *which, "--exclude-standard")
    return sorted(set(filter(None, listed.split("\0"))))
