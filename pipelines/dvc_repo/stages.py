"""Lists the stages and reports of a workspace, and reproduces a stage."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import networkx
from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.repo import Repo
from dvc_data.hashfile.build import build

from pipelines.dvc_repo import cache
from pipelines.errors import PipelineError, RunCancelledError, StageFailed, StageTimeoutError
from pipelines.workspaces import checkpoints, clean_environment, process_group, redaction

LAST_LINES = 15
# Lines of DVC itself that do not belong in a stage's log.
NOISE = re.compile(
    r"^(Updating lock file|Generating lock file|Use `dvc push`|To track the changes with git|"
    r"To enable auto staging|\tgit add|\tdvc config core\.autostage|$)"
)


MEASURED = ".measured"  # the folder of what stages measure, below a workspace


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, the names of the stages whose outs it reads, and its reports."""

    name: str
    upstream: tuple[str, ...]
    reports: tuple[Path, ...] = field(default=(), compare=False)


def stages(workspace: Path) -> list[Stage]:
    """The stages of `workspace` in order of dependency.

    Raises:
        PipelineError: with DVC's message, if dvc.yaml is not valid.
    """
    with opened(workspace) as repo:
        return [
            Stage(
                name_of(stage),
                tuple(sorted(name_of(up) for up in repo.index.graph.successors(stage))),
                tuple(_reports(stage.outs, workspace)),
            )
            for stage in in_order(repo)
        ]


def in_order(repo: Any) -> Iterator[Any]:
    """DVC's own stages, each after those that it depends on."""
    graph = repo.index.graph  # an edge goes from a stage to one that it depends on
    stages: Iterator[Any] = networkx.lexicographical_topological_sort(graph.reverse(), key=name_of)
    return stages


def not_cached(workspace: Path) -> list[str]:
    """The stages that `dvc repro` would run for want of an out in the cache, in order.

    Raises:
        PipelineError: with DVC's message, if dvc.yaml or dvc.lock is not valid.
    """
    with opened(workspace) as repo:
        lacking = {name_of(stage) for stage in repo.index.stages if not stage.outs_cached()}
    return [stage.name for stage in stages(workspace) if stage.name in lacking]


def reports(workspace: Path) -> dict[str, Path]:
    """The files that dvc.yaml declares as metrics or plots, or as outs below reports/.

    Returns:
        Path below the workspace → absolute path, for each file that exists.
    """
    with opened(workspace) as repo:
        declared = list(_reports(repo.index.outs, workspace))
    return existing(workspace, declared)


def existing(workspace: Path, reports: Iterable[Path]) -> dict[str, Path]:
    """The files that are or lie in `reports`: path below the workspace → absolute path."""
    files = {
        file
        for path in reports
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    }
    return {file.relative_to(workspace).as_posix(): file for file in sorted(files)}


def _reports(outs: Iterable[Any], workspace: Path) -> Iterator[Path]:
    for out in outs:
        path = Path(out.fs_path)
        if out.metric or out.plot or path.is_relative_to(workspace / "reports"):
            yield path


def model_folder(workspace: Path) -> Path:
    """The path that dvc.yaml declares as its artifact of type `model`.

    Its name there is not asked: in an older commit it is that of the registered model.

    Raises:
        PipelineError: if it does not declare one such artifact, or the path does not exist.
    """
    with opened(workspace) as repo:
        declared = repo.artifacts.read().get("dvc.yaml", {})
    found = [artifact for artifact in declared.values() if artifact.type == "model"]
    if len(found) != 1:
        raise PipelineError(
            f"dvc.yaml declares {len(found)} artifacts of type model: declare one under"
            " `artifacts:`, with the path that `export` writes"
        )
    path = workspace / str(found[0].path)
    if not path.exists():
        raise PipelineError(f"{path} is missing: a stage of dvc.yaml must write it")
    return path


def repro(
    workspace: Path,
    stage: str,
    on_line: Callable[[str], None],
    force: bool = False,
    timeout_s: float | None = None,
    cancelled: threading.Event | None = None,
    on_bar: Callable[[str], None] | None = None,
) -> bool:
    """Reproduces one stage; calls `on_line` at once with each line that it prints, without secrets.

    `on_bar` gets each state of a progress bar, which replaces the one before. With `force` the
    stage runs even if DVC has its outs. No process is left behind, however this ends. Another
    thread may set `cancelled`.

    Returns:
        True if the stage ran; False if DVC already had its outs.

    Raises:
        StageFailed: if it ended with an error.
        StageTimeoutError: if it was stopped after `timeout_s`.
        RunCancelledError: if it was stopped because `cancelled` was set.
    """
    cache.mend_run_cache(workspace)
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
    command += ["--force"] if force else []
    env = environment() | checkpoints.environment(workspace) | {"NER_LIVE": MEASURED}
    last: deque[str] = deque(maxlen=LAST_LINES)
    ran, without_secrets = False, redaction.redactor()
    process = process_group.start(command, cwd=workspace, env=env)
    try:
        with process_group.ended_by(process, timeout_s, cancelled or threading.Event()) as why:
            for line in _lines(process, on_bar):
                ran = ran or line.startswith(f"Running stage '{stage}'")
                if not NOISE.match(line):
                    line = without_secrets(line)
                    last.append(line)
                    on_line(line)
            process.wait()
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()
    if process.returncode and why == ["timeout"]:
        raise StageTimeoutError(
            f"Stage {stage} was stopped after {timeout_s:g} s: raise run.stage_timeout_s in"
            " params.yaml, for this stage or for `others`, if it needs longer"
        )
    if process.returncode and why:
        raise RunCancelledError(f"Cancelled in stage {stage}; all its processes have ended")
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


def _lines(process: "subprocess.Popen[str]", on_bar: Callable[[str], None] | None) -> Iterator[str]:
    """The lines that it prints, without the states of a bar, each of which ends with a return."""
    if isinstance(process.stdout, TextIOWrapper):
        process.stdout.reconfigure(newline="")  # or the states would be lines
    for text in process.stdout or ():
        if not text.endswith("\r"):
            yield text.rstrip()
        elif on_bar:
            on_bar(text.rstrip())


def environment(remotes: bool = False) -> dict[str, str]:
    """The environment variables of a command in a workspace; with `remotes` the keys of those.

    Raises:
        PipelineError: if NER_PASS names a variable that is not set.
    """
    # A workspace has no virtual environment: `python` in a command is the present interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return clean_environment.make(remotes) | {"PATH": path, "PYTHONUNBUFFERED": "1"}


@contextmanager
def opened(workspace: Path) -> Iterator[Any]:
    """DVC's `Repo` of `workspace`; raises its errors as PipelineError."""
    try:
        with Repo(str(workspace)) as repo:
            yield repo
    except DvcException as error:
        words = " ".join(f"{error} {error.__cause__ or ''}".split())
        # DVC names files relative to the current folder.
        words = words.replace(f"{os.path.relpath(workspace)}/", "").replace(f"{workspace}/", "")
        raise PipelineError(f"DVC cannot read the stages: {words}") from None


def folder_md5(workspace: Path, folder: str) -> str:
    """The hash of `folder` in dvc.lock, without files that .dvcignore names."""
    with opened(workspace) as repo:
        path, how = str(workspace / folder), {"ignore": repo.dvcignore, "dry_run": True}
        _, _, tree = build(repo.cache.local, path, localfs, "md5", **how)
    return str(tree.hash_info.value)


def name_of(stage: Any) -> str:
    """The name of a stage as `dvc repro` takes it in the workspace's folder."""
    file, name = stage.path_in_repo, getattr(stage, "name", None)
    return str(name if name and file == "dvc.yaml" else f"{file}:{name}" if name else file)


def _on_path(tool: str) -> str:
    """A command that runs `tool` in the user's shell; it sets PATH if `tool` is not on it."""
    folder = Path(sys.executable).parent
    if shutil.which(tool) == str(folder / tool):
        return tool
    return f"PATH={shlex.quote(str(folder))}:$PATH {tool}"
