"""Reproduces a stage by DVC."""

import re
import shlex
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from pipelines.dvc_repo import cache
from pipelines.dvc_repo.preloaded import Dvc
from pipelines.errors import RunCancelledError, StageFailed, StageTimeoutError
from pipelines.workspaces import process_group, redaction

LAST_LINES = 15
# Lines of DVC itself that do not belong in a stage's log.
NOISE = re.compile(
    r"^(Updating lock file|Generating lock file|Use `dvc push`|To track the changes with git|"
    r"To enable auto staging|\tgit add|\tdvc config core\.autostage|$)"
)


def repro(
    workspace: Path,
    stage: str,
    on_line: Callable[[str], None],
    force: bool = False,
    timeout_s: float | None = None,
    cancelled: threading.Event | None = None,
    on_bar: Callable[[str], None] | None = None,
    dvc: Dvc | None = None,
) -> bool:
    """Reproduces one stage; calls `on_line` at once with each line that it prints, without secrets.

    `on_bar` gets each state of a progress bar, which replaces the one before. With `force` the
    stage runs even if DVC has its outs. No process is left behind, however this ends. Another
    thread may set `cancelled`. `dvc` is that of the workspace, by default one for this stage alone.

    Returns:
        True if the stage ran; False if DVC already had its outs.

    Raises:
        StageFailed: if it ended with an error.
        StageTimeoutError: if it was stopped after `timeout_s`.
        RunCancelledError: if it was stopped because `cancelled` was set.
    """
    cache.mend_run_cache(workspace)
    arguments = ["repro", "--single-item", stage, *(["--force"] if force else [])]
    last: deque[str] = deque(maxlen=LAST_LINES)
    ran, without_secrets = False, redaction.redactor()
    with (
        nullcontext(dvc) if dvc else Dvc(workspace) as used,
        used.command(arguments) as command,
        process_group.ended_by(command.process, timeout_s, cancelled or threading.Event()) as why,
    ):
        for line in _lines(command.printed(), on_bar):
            ran = ran or line.startswith(f"Running stage '{stage}'")
            if not NOISE.match(line):
                line = without_secrets(line)
                last.append(line)
                on_line(line)
    if command.code and why == ["timeout"]:
        raise StageTimeoutError(
            f"Stage {stage} was stopped after {timeout_s:g} s: raise run.stage_timeout_s in"
            " params.yaml, for this stage or for `others`, if it needs longer"
        )
    if command.code and why:
        raise RunCancelledError(f"Cancelled in stage {stage}; all its processes have ended")
    if command.code:
        code = re.search(r"exited with (-?\d+)", " ".join(list(last)[-3:]))
        raise StageFailed(
            stage,
            int(code.group(1)) if code else command.code,
            list(last),
            f"cd {shlex.quote(str(workspace))} && {_on_path('dvc')} repro --single-item "
            + shlex.quote(stage),
        )
    return ran


def _lines(printed: Iterator[str], on_bar: Callable[[str], None] | None) -> Iterator[str]:
    """The lines, without the states of a bar, each of which ends with a return."""
    for text in printed:
        if not text.endswith("\r"):
            yield text.rstrip()
        elif on_bar:
            on_bar(text.rstrip())


def _on_path(tool: str) -> str:
    """A command that runs `tool` in the user's shell; it sets PATH if `tool` is not on it."""
    folder = Path(sys.executable).parent
    if shutil.which(tool) == str(folder / tool):
        return tool
    return f"PATH={shlex.quote(str(folder))}:$PATH {tool}"
