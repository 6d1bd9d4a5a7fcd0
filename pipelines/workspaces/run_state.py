"""How far a workspace's run has come: `.state` in the workspace, and a lock while it runs."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from pipelines.errors import PipelineError, RunCancelledError
from pipelines.workspaces import workspace

Word = Literal["running", "complete", "unlogged", "failed", "cancelled"]
STAGES_DONE = "all stages are done"
CTRL_C, SIGNAL = "ended by Ctrl-C", "ended by a signal"
KILLED = "its process was killed, or the machine went down"


@dataclass(frozen=True)
class State:
    """What is said of a run.

    Attributes:
        state: `unlogged`: all stages are done, MLflow has not got it.
        reason: One line; empty where `state` says all.
        since: UTC, ISO 8601.
    """

    state: Word
    reason: str
    since: str


@contextmanager
def running(path: Path) -> Iterator[None]:
    """Marks the workspace `path` as running, and at the end as what became of it.

    `gc` waits while this is entered, or this waits for `gc`.
    """
    with _lock(path.parent / "gc.lock", fcntl.LOCK_SH), _lock(path / workspace.RECORD):
        mark(path, "running")
        try:
            yield
        except RunCancelledError as error:
            _end(path, "cancelled", str(error))
            raise
        except Exception as error:
            words = str(error) if isinstance(error, PipelineError) else repr(error)
            _end(path, "failed", words.partition("\n")[0])
            raise
        except BaseException as error:
            _end(path, "cancelled", CTRL_C if isinstance(error, KeyboardInterrupt) else SIGNAL)
            raise
        mark(path, "complete")


def mark(path: Path, state: Word, reason: str = "") -> None:
    """Writes `.state` of the workspace `path`; an ended run keeps no lock of DVC's."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    partial = path / ".state.partial"
    text = json.dumps(asdict(State(state, reason, now)), ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path / ".state")
    if state != "running":
        for left in (path / ".dvc" / "tmp").glob("*lock*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def read(path: Path) -> State | None:
    """What `.state` of the workspace `path` says; None before its run has begun."""
    try:
        return State(**json.loads((path / ".state").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def word(path: Path) -> Word | None:
    """The one word for it."""
    state = read(path)
    return state.state if state else None


def require_done(path: Path) -> None:
    """Raises a PipelineError if the stages of the workspace `path` are not all done."""
    found = read(path)
    if found is None or found.state not in ("unlogged", "complete"):
        said = (
            f"{found.state}{f' ({found.reason})' if found.reason else ''}" if found else "not begun"
        )
        raise PipelineError(f"Run {path.name} is {said}: its stages are not all done")


def sweep(project: Path) -> None:
    """Marks the workspaces whose run was killed, and deletes those that were not whole yet."""
    workspace.sweep(project)
    for path in workspace.all_of(project):
        if word(path) in ("running", None):
            with suppress(BlockingIOError), _lock(path / workspace.RECORD, wait=False):
                _end(path, "failed", KILLED)


@contextmanager
def none_running(project: Path) -> Iterator[bool]:
    """Whether no run is going; if so, none begins before this is left."""
    (project / ".runs").mkdir(exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(_lock(project / ".runs" / "gc.lock", wait=False))
            alone = True
        except BlockingIOError:
            alone = False
        yield alone


def _end(path: Path, state: Word, reason: str) -> None:
    """As `mark`; a run that had done all its stages is `unlogged`, whatever happened then."""
    before = read(path)
    mark(path, "unlogged" if before and before.reason == STAGES_DONE else state, reason)


@contextmanager
def _lock(path: Path, kind: int = fcntl.LOCK_EX, wait: bool = True) -> Iterator[IO[str]]:
    # The kernel's, so that it goes with the process, however that ends.
    with path.open("a") as file:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
        yield file
