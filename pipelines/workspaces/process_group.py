"""Supervises a command: ends all that it started when the parent process is gone.

`start` puts the supervisor between the parent and the command. A parent that dies, even by SIGKILL,
closes the pipe that is the supervisor's stdin; nothing else notices that. On Linux a process that
left the command's process group and lost its parent becomes a child of the supervisor, which ends
it too. It imports only the standard library.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

POLL_S = 0.1
GRACE_S = 10.0  # between TERM and KILL; train has written nothing in place, so little to undo
ENCODING = "utf-8"
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
HEEDED = (*STOP, signal.SIGCHLD)


def start(
    command: list[str], cwd: Path, env: dict[str, str], output: int | IO[str] = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """Starts `command` under a supervisor; closing the returned process's `.stdin` ends it.

    stdout and stderr are merged, as lines of text, in `.stdout`, or go to `output`.
    The return code is the command's, or 128 + N if signal N ended it.
    """
    # -I: so that no module beside this file or the caller shadows the standard library.
    return supervisor([sys.executable, "-I", __file__, "--", *command], cwd, env, output)


def supervisor(
    command: list[str], cwd: Path, env: dict[str, str], output: int | IO[str] = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """Starts a program that calls `supervise`, as `start` starts this one."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env | {"PYTHONIOENCODING": ENCODING},  # as it is read here, whatever the terminal
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so a Ctrl-C on the terminal reaches only the parent
        text=True,
        encoding=ENCODING,
        errors="replace",
    )


@contextmanager
def ended_by(
    process: "subprocess.Popen[str]", timeout_s: float | None, stop: threading.Event
) -> Iterator[list[str]]:
    """Ends a process of `start` after `timeout_s` seconds, or when `stop` is set.

    Yields a list that gets the reason then: `timeout` or `stop`.
    """
    why: list[str] = []
    over = threading.Event()
    deadline = time.monotonic() + (timeout_s or float("inf"))

    def watch() -> None:
        while not over.wait(POLL_S):
            if stop.is_set() or time.monotonic() > deadline:
                why.append("stop" if stop.is_set() else "timeout")
                if process.stdin:
                    process.stdin.close()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield why
    finally:
        over.set()
        thread.join()


def main(command: list[str]) -> int:
    """Runs `command` until it or the parent ends or a signal arrives; returns its exit code."""
    wake = heed()
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    return supervise(child.pid, wake)


def heed() -> int:
    """Makes orphans below this process its children; returns a pipe in which signals arrive."""
    with suppress(OSError, AttributeError):  # not on macOS
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    wake, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in HEEDED:
        signal.signal(number, lambda *_: None)  # the number arrives through `wake`
    return wake


def supervise(child: int, wake: int) -> int:
    """Waits until a child, which leads a session, or the parent ends, or `wake` has a signal.

    Returns:
        The exit code; all that the child started has ended.
    """
    code = _until_end_or_stop(child, wake)
    _end_all(child)
    return code if code >= 0 else 128 - code


def _until_end_or_stop(child: int, wake: int) -> int:
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        ready, _, _ = select.select([sys.stdin.fileno(), wake], [], [])
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            return -signal.SIGHUP
        if wake in ready and (stop := STOP.intersection(os.read(wake, 64))):
            return -min(stop)
    return os.waitstatus_to_exitcode(ended[1])


def _end_all(child: int) -> None:
    """Sends TERM to all descendants, also of a command that has ended, and KILL after a time.

    What starts after TERM has that time too: so Podman removes a container that has ended.
    """
    _send(signal.SIGTERM, _left(child))
    deadline = time.monotonic() + GRACE_S
    while (left := _left(child)) and (now := time.monotonic()) < deadline + GRACE_S:
        if now > deadline:
            _send(signal.SIGKILL, left)
        time.sleep(0.02)


def _send(number: signal.Signals, processes: set[int]) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _left(child: int) -> set[int]:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return _group(child) | _outside(child)


def _group(leader: int) -> set[int]:
    """The leader of the group as a negative number, by which `kill` takes all of it; or nothing."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return set()
    return {-leader}


def _outside(group: int) -> set[int]:
    """The living processes below this one that are not in the group; none without /proc."""
    parents, outside = {}, set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            state, parent, of = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
            pid = int(path.parent.name)
            parents[pid] = int(parent)
            if state != "Z" and int(of) != group:
                outside.add(pid)
    found: set[int] = set()
    below = {os.getpid()}
    while below:
        below = {pid for pid, parent in parents.items() if parent in below} - found
        found |= below
    return found & outside


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
