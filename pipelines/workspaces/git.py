"""Reads the project's Git repository; writes nothing in the user's tree, not even the index.

Only `resolve` writes below .git: the objects that it fetches, and no branch or tag.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.errors import PipelineError

RUN_S = 600.0  # a remote that stops answering would block a scheduled run, and so the next one
# What it says of each file, in LC_ALL=C; with the first alone it gives no reason.
FULL = ("unable to write", "No space left", "quota exceeded")
HASH = re.compile("[0-9a-f]{4,64}")
FULL_HASH_DIGITS = (40, 64)  # SHA-1, SHA-256
# In Git's list of what names a repository, but settings as any others: `safe.directory`, a proxy.
SETTINGS = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}


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
    """The commit of a branch, tag or commit id, as the remote has it now, fetched if needed.

    Only the objects are fetched: local branches, tags and remote-tracking branches neither count
    nor change. They count where there is no remote. A hash that is here needs no remote.

    Raises:
        PipelineError: if the remote does not answer, there is no such commit, or `ref` is both a
            branch and a tag, of different commits.
    """
    remotes = run(project, "remote").split()
    remote = "origin" if "origin" in remotes else next(iter(remotes), None)
    if len(ref) in FULL_HASH_DIGITS and (here := _hash(project, ref)):
        return here
    tips = _tips(project, remote)
    names = [ref] if remote is None else [ref, ref.removeprefix(f"{remote}/")]
    for name in names:
        ways = (name, f"refs/{name}", f"refs/heads/{name}", f"refs/tags/{name}")
        if found := {way: tips[way] for way in ways if way in tips}:
            _fetch(project, remote, found.values())
            commits = {_commit(project, tip) for tip in found.values()}
            if len(commits) > 1:
                raise PipelineError(
                    f"{ref} names different commits {_at(remote)}: give {' or '.join(found)} as ref"
                )
            if commit := commits.pop():
                return commit
    if commit := _hash(project, ref) or _fetched_hash(project, remote, ref, tips):
        return commit
    push = f", or push it to {remote}" if remote else ""
    raise PipelineError(
        f"There is no branch, tag or commit {ref} {_at(remote)}: correct ref{push}; a commit can"
        " also be named by its full hash"
    )


def _tips(project: Path, remote: str | None) -> dict[str, str]:
    """Full name → object of each branch and tag, and of HEAD."""
    try:
        if remote:
            no_prompt = {"GIT_TERMINAL_PROMPT": "0"}
            listed = run(project, "ls-remote", "--quiet", remote, **no_prompt)
        else:
            listed = run(project, "show-ref", "--head")
    except PipelineError as error:
        if remote is None:  # what `show-ref` ends with before the first commit
            return {}
        raise PipelineError(
            f"The Git remote {remote} does not say what it has ({error}): try `git ls-remote"
            f" {remote}` in {project}, and correct what it names; a commit that is here needs no"
            " remote if ref is its full hash"
        ) from None
    pairs = (line.split(maxsplit=1) for line in listed.splitlines())
    return {name: tip for tip, name in pairs}


def _fetch(project: Path, remote: str | None, tips: Iterable[str]) -> None:
    """Fetches these objects and what they need, but no ref, into a pack that is whole or absent."""
    if remote is None:
        return
    # --keep: loose objects of a killed fetch would be a commit without its files.
    options = ("--quiet", "--keep", "--no-write-fetch-head", "--refmap=", "--no-tags", "--no-prune")
    wanted = ("--no-recurse-submodules", "--stdin", remote)
    env = {"GIT_TERMINAL_PROMPT": "0"}
    run(project, "fetch", *options, *wanted, stdin="\n".join({*tips}), **env)


def _fetched_hash(project: Path, remote: str | None, ref: str, tips: dict[str, str]) -> str | None:
    """The commit with the hash `ref`; all branches and tags are fetched if the server requires."""
    if remote is None or not HASH.fullmatch(ref.lower()):
        return None
    if len(ref) in FULL_HASH_DIGITS:
        with suppress(PipelineError):  # many servers give away only what a branch or tag names
            _fetch(project, remote, [ref.lower()])
            return _hash(project, ref)
    named = ("refs/heads/", "refs/tags/")
    _fetch(project, remote, (tip for name, tip in tips.items() if name.startswith(named)))
    return _hash(project, ref)


def _hash(project: Path, ref: str) -> str | None:
    """The commit that is here with this hash, in full or its first digits; never a branch's."""
    prefix = ref.lower()
    found = _commit(project, prefix) if HASH.fullmatch(prefix) else None
    return found if found and (len(ref) in FULL_HASH_DIGITS or found.startswith(prefix)) else None


def _commit(project: Path, name: str) -> str | None:
    try:
        options = ("--quiet", "--verify", "--end-of-options")
        return run(project, "rev-parse", *options, f"{name}^{{commit}}").strip()
    except PipelineError:
        return None


def _at(remote: str | None) -> str:
    return f"at {remote}" if remote else "here"


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
    # Whatever the user's settings: a diff that `git apply` takes.
    flags = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--relative")
    patch = ("--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--submodule=short")
    with TemporaryDirectory() as folder:
        # `diff` writes the index that it refreshes, despite GIT_OPTIONAL_LOCKS: give it a copy.
        index = shutil.copy(project / run(project, "rev-parse", "--git-path", "index")[:-1], folder)
        env = {"GIT_INDEX_FILE": index, "GIT_DIFF_OPTS": ""}
        return named + run(project, "diff", *flags, *patch, head, "--", ".", **env)


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


def run(folder: Path, *arguments: str, stdin: str = "", **env: str) -> str:
    """Runs Git in `folder`; returns its output.

    Raises:
        PipelineError: with Git's message.
    """
    # `status` would refresh the user's index.
    return _call(folder, arguments, stdin, _environment() | {"GIT_OPTIONAL_LOCKS": "0"} | env)


def _environment() -> dict[str, str]:
    """The user's, without what names another repository or index, as it does in a hook."""
    elsewhere = _variables_of_a_repository() - SETTINGS
    return {key: value for key, value in os.environ.items() if key not in elsewhere}


@cache
def _variables_of_a_repository() -> frozenset[str]:
    return frozenset(_call(Path("/"), ("rev-parse", "--local-env-vars"), "", os.environ).split())


def _call(folder: Path, arguments: Sequence[str], stdin: str, env: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**env, "LC_ALL": "C"},
            check=True,
            capture_output=True,
            input=stdin.encode(),
            timeout=RUN_S,
        )
    except subprocess.TimeoutExpired:
        raise PipelineError(
            f"git {arguments[0]} did not finish within {RUN_S:.0f} s: try it by hand"
        ) from None
    except FileNotFoundError:
        raise PipelineError("git is not installed, or not on PATH") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").split("\n")
        if any(words in line for line in lines for words in FULL):
            lines = [
                f"{lines[0].removeprefix('error: ')}: the disk is full: make room (`python -m"
                " pipelines gc`), and run again"
            ]
        raise PipelineError(f"git {arguments[0]}: {' '.join(' '.join(lines).split())}") from None
    return os.fsdecode(done.stdout)


def _names(project: Path, *which: str) -> list[str]:
    listed = run(project, "ls-files", "-z", *which, "--exclude-standard")
    return sorted(set(filter(None, listed.split("\0"))))
