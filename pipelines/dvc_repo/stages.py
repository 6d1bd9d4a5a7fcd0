"""What DVC is asked: the stages, their reports, and to reproduce one of them."""

import os
import re
import shlex
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before Prefect: DVC would import it to read artifacts, and importing it configures logging anew,
# for which Prefect's log handler blocks 5 s once a flow runs.
import gto  # noqa: F401
import networkx
from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.repo import Repo
from dvc_data.hashfile.build import build

from pipelines.errors import PipelineError, RunCancelledError, StageFailed, StageTimeoutError
from pipelines.workspaces import checkpoints, process_group

LAST_LINES = 15
# What DVC says on its own behalf and a reader of a stage's log does not need.
NOISE = re.compile(
    r"^(Updating lock file|Generating lock file|Use `dvc push`|To track the changes with git|"
    r"To enable auto staging|\tgit add|\tdvc config core\.autostage|$)"
)


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml and the names of the stages whose outs it reads."""

    name: str
    upstream: tuple[str, ...]


def stages(workspace: Path) -> list[Stage]:
    """The stages of `workspace`, each after all that it depends on, as DVC sees them.

    Raises:
        PipelineError: with DVC's own words, if dvc.yaml is not valid.
    """
    with opened(workspace) as repo:
        graph = repo.index.graph  # an edge goes from a stage to one that it depends on
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=name_of)
        return [
            Stage(name_of(stage), tuple(sorted(name_of(up) for up in graph.successors(stage))))
            for stage in order
        ]


def reports(workspace: Path) -> dict[str, Path]:
    """What dvc.yaml declares as metrics or plots, or as an out below reports/, and is there.

    Returns:
        The path below the workspace → the whole path; files only, a folder's each by itself.
    """
    with opened(workspace) as repo:
        declared = {
            Path(out.fs_path)
            for out in repo.index.outs
            if out.metric or out.plot or Path(out.fs_path).is_relative_to(workspace / "reports")
        }
    files = {
        file
        for path in declared
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    }
    return {file.relative_to(workspace).as_posix(): file for file in sorted(files)}


def artifact(workspace: Path, name: str) -> Path:
    """The path that dvc.yaml declares as the artifact `name`.

    Raises:
        PipelineError: if it declares none, or it is not there.
    """
    with opened(workspace) as repo:
        declared = repo.artifacts.read().get("dvc.yaml", {})
    if name not in declared:
        raise PipelineError(f"dvc.yaml declares no artifact {name}: add it under `artifacts:`")
    path = workspace / str(declared[name].path)
    if not path.exists():
        raise PipelineError(f"{path} is not there: a stage of dvc.yaml must write it")
    return path


def repro(
    workspace: Path,
    stage: str,
    on_line: Callable[[str], None],
    force: bool = False,
    timeout_s: float | None = None,
    cancelled: threading.Event | None = None,
) -> bool:
    """Reproduces `stage` alone; every line that it prints goes to `on_line` at once.

    With `force` it runs although DVC has its outs. However this is left, no process stays behind.
    `cancelled` may be set by another thread.

    Returns:
        Whether it ran; False where DVC had its outs already.

    Raises:
        StageFailed: if it ended with an error.
        StageTimeoutError: if it was ended after `timeout_s`.
        RunCancelledError: if it was ended because `cancelled` was set.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
    command += ["--force"] if force else []
    env = environment() | checkpoints.environment(workspace)
    last: deque[str] = deque(maxlen=LAST_LINES)
    ran = False
    process = process_group.start(command, cwd=workspace, env=env)
    try:
        with process_group.ended_by(process, timeout_s, cancelled or threading.Event()) as why:
            for line in map(str.rstrip, process.stdout or ()):
                ran = ran or line.startswith(f"Running stage '{stage}'")
                if not NOISE.match(line):
                    last.append(line)
                    on_line(line)
            process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()
    if process.returncode and why == ["timeout"]:
        raise StageTimeoutError(
            f"Stage {stage} was ended after {timeout_s:g} s: raise run.stage_timeout_s in"
            " params.yaml, for this stage or for `others`, if it may take longer"
        )
    if process.returncode and why:
        raise RunCancelledError(f"Cancelled in stage {stage}; no process of it is left")
    if process.returncode:
        code = re.search(r"exited with (-?\d+)", " ".join(list(last)[-3:]))
        raise StageFailed(
            stage,
            int(code.group(1)) if code else process.returncode,
            list(last),
            f"cd {shlex.quote(str(workspace))} && {_on_path('dvc')} repro --single-item "
            + shlex.quote(stage),
        )
    return ran


def environment() -> dict[str, str]:
    """Of a command that runs in a workspace."""
    # The workspace has no environment of its own: `python` in a command is the one that runs here.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


@contextmanager
def opened(workspace: Path) -> Iterator[Any]:
    """DVC's own view of `workspace`; what it refuses while this is entered is a PipelineError."""
    try:
        with Repo(str(workspace)) as repo:
            yield repo
    except DvcException as error:
        words = " ".join(f"{error} {error.__cause__ or ''}".split())
        # DVC names files from the present folder.
        words = words.replace(f"{os.path.relpath(workspace)}/", "").replace(f"{workspace}/", "")
        raise PipelineError(f"DVC cannot read the stages: {words}") from None


def folder_md5(workspace: Path, folder: str) -> str:
    """The hash of `folder` as dvc.lock has it; what .dvcignore names is not in it."""
    with opened(workspace) as repo:
        path, how = str(workspace / folder), {"ignore": repo.dvcignore, "dry_run": True}
        _, _, tree = build(repo.cache.local, path, localfs, "md5", **how)
    return str(tree.hash_info.value)


def name_of(stage: Any) -> str:
    """As `dvc repro` takes it from the workspace's own folder."""
    file, name = stage.path_in_repo, getattr(stage, "name", None)
    return str(name if name and file == "dvc.yaml" else f"{file}:{name}" if name else file)


def _on_path(tool: str) -> str:
    """`tool` as the user's own shell finds it: with PATH set where it would not."""
    folder = Path(sys.executable).parent
    if shutil.which(tool) == str(folder / tool):
        return tool
    return f"PATH={shlex.quote(str(folder))}:$PATH {tool}"
