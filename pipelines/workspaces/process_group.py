"""Supervises a command: ends its whole process group when the parent process is gone.

`start` puts the supervisor between the parent and the command. A parent that dies, even by SIGKILL,
closes the pipe that is the supervisor's stdin; nothing else notices that. It imports only the
standard library.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

POLL_S = 0.1
GRACE_S = 10.0  # between TERM and KILL; train has written nothing in place, so little to undo
STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def start(
    command: list[str], cwd: Path, env: dict[str, str], output: int | IO[str] = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """Starts `command` under a supervisor; closing the returned process's `.stdin` ends it.

    stdout and stderr are merged, as lines of text, in `.stdout`, or go to `output`.
    The return code is the command's, or 128 + N if signal N ended it.
    """
    return subprocess.Popen(
        # -I: so that no module beside this file or the caller shadows the standard library.
        [sys.executable, "-I", __file__, "--", *command],
        cwd=cwd,
        env=env | {"PYTHONIOENCODING": "utf-8"},  # as it is read here, whatever the terminal
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so a Ctrl-C on the terminal reaches only the parent
        text=True,
        encoding="utf-8",
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
    wake, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (*STOP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # the number arrives through `wake`
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    code = _until_end_or_stop(child, wake)
    _end_group(child)
    return code if code >= 0 else 128 - code


def _until_end_or_stop(child: "subprocess.Popen[bytes]", wake: int) -> int:
    while (code := child.poll()) is None:
        ready, _, _ = select.select([sys.stdin.fileno(), wake], [], [])
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            return -signal.SIGHUP
        if wake in ready and (stop := STOP.intersection(os.read(wake, 64))):
            return -min(stop)
    return code


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """Sends TERM, then KILL, also to what a command that has ended left running."""
    for stop in (signal.SIGTERM, signal.SIGKILL):
        number: int = stop
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            try:
                os.killpg(child.pid, number)
            except ProcessLookupError:
                return
            number = 0  # from now on only checks whether the group exists
            child.poll()
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
