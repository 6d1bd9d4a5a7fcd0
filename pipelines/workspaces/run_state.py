"""The state of a workspace's run: `.state` in the workspace, and a lock while it runs."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from pipelines.errors import PipelineError, RunCancelledError
from pipelines.workspaces import workspace

Word = Literal["running", "complete", "unlogged", "failed", "cancelled"]
NEW_S = 60.0  # longer than a run takes from making a workspace to locking it
STAGES_DONE = "all stages are done"
NOT_BEGUN = "no stage has begun"
CTRL_C, SIGNAL = "ended by Ctrl-C", "ended by a signal"
KILLED = "its process was killed, or the machine went down"


@dataclass(frozen=True)
class State:
    """The state of a run.

    Attributes:
        state: `unlogged`: all stages are done, but MLflow does not have the run.
        reason: One line; empty where `state` is enough.
        since: UTC, ISO 8601.
    """

    state: Word
    reason: str
    since: str


@contextmanager
def running(path: Path) -> Iterator[None]:
    """As `reserved`, for a run that begins at once."""
    with reserved(path), begun(path):
        yield


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Locks the workspace `path` for a run, and deletes it if that has not `begun` at the end.

    `gc` leaves such a workspace and the DVC cache alone; this waits for a `gc` that is running.
    """
    gc = _lock(path.parent / "gc.lock", fcntl.LOCK_SH, mode="a")
    with gc, _lock(path / workspace.RECORD):
        mark(path, "running", NOT_BEGUN)
        try:
            yield
        finally:
            state = read(path)
            if state and state.reason == NOT_BEGUN:
                shutil.rmtree(path)


@contextmanager
def begun(path: Path) -> Iterator[None]:
    """Marks the workspace `path` as running, and at the end as complete, failed or cancelled."""
    mark(path, "running")
    try:
        yield
    except RunCancelledError as error:
        _end(path, "cancelled", str(error))
        raise
    except Exception as error:
        message = str(error) if isinstance(error, PipelineError) else repr(error)
        _end(path, "failed", message.partition("\n")[0])
        raise
    except BaseException as error:
        _end(path, "cancelled", CTRL_C if isinstance(error, KeyboardInterrupt) else SIGNAL)
        raise
    mark(path, "complete")


def mark(path: Path, state: Word, reason: str = "") -> None:
    """Writes `.state` of the workspace `path`; DVC's locks of an ended run are deleted."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    partial = path / ".state.partial"
    text = json.dumps(asdict(State(state, reason, now)), ensure_ascii=False)
    with partial.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())  # else it may be empty after a power failure
    partial.replace(path / ".state")
    if state != "running":
        unlock(path)


def unlock(path: Path) -> None:
    """Deletes DVC's locks in the workspace `path`, in which no DVC runs any more.

    One that was killed leaves them, and perhaps half written, which ends each DVC after it.
    """
    for lock in (path / ".dvc" / "tmp").glob("*lock*"):
        shutil.rmtree(lock) if lock.is_dir() else lock.unlink(missing_ok=True)


def read(path: Path) -> State | None:
    """The state of the workspace `path`; None before its run, or if it cannot be read."""
    try:
        return State(**json.loads((path / ".state").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):  # none yet, or cut off by a power failure
        return None


def word(path: Path) -> Word | None:
    """The state of the workspace `path` as one word; None before its run."""
    state = read(path)
    return state.state if state else None


def require_done(path: Path) -> None:
    """Raises a PipelineError unless the workspace `path` is of a training with all stages done."""
    purpose = workspace.purpose(path)
    if purpose != "training":
        raise PipelineError(
            f"Run {path.name} has the purpose {purpose}, and no result of its own: name a training"
        )
    found = read(path)
    if found is None or found.state not in ("unlogged", "complete"):
        shown = (
            f"{found.state}{f' ({found.reason})' if found.reason else ''}" if found else "not begun"
        )
        raise PipelineError(f"Run {path.name} is {shown}: its stages are not all done")


def sweep(project: Path) -> None:
    """Marks the workspaces whose run was killed, and deletes incomplete ones."""
    workspace.sweep(project)
    for path in workspace.all_of(project):
        # It may end at any moment, and be deleted.
        with suppress(BlockingIOError, FileNotFoundError):
            if _seems_killed(path):
                with _lock(path / workspace.RECORD, wait=False):
                    if _seems_killed(path):
                        _end(path, "failed", KILLED)


def _seems_killed(path: Path) -> bool:
    said = word(path)
    return said == "running" or (said is None and not _is_new(path))


def is_held(path: Path) -> bool:
    """Whether a living process runs in the workspace `path`."""
    try:
        with _lock(path / workspace.RECORD, fcntl.LOCK_SH, wait=False):
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _is_new(path: Path) -> bool:
    """Whether its run may be about to lock it."""
    return time.time() - (path / workspace.RECORD).stat().st_mtime < NEW_S


@contextmanager
def none_running(project: Path) -> Iterator[bool]:
    """Yields True if no run is going; then none begins before this is left."""
    (project / ".runs").mkdir(exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(_lock(project / ".runs" / "gc.lock", wait=False, mode="a"))
            alone = True
        except BlockingIOError:
            alone = False
        yield alone


def _end(path: Path, state: Word, reason: str) -> None:
    """As `mark`; a run whose stages are all done is `unlogged`, whatever happened afterwards."""
    before = read(path)
    mark(path, "unlogged" if before and before.reason == STAGES_DONE else state, reason)


@contextmanager
def _lock(
    path: Path, kind: int = fcntl.LOCK_EX, wait: bool = True, mode: str = "r+"
) -> Iterator[IO[Any]]:
    # A lock of the kernel, which is freed however the process ends.
    with path.open(mode) as file:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
        yield file
