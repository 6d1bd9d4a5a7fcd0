"""Stages in forks of a process that has imported torch: 5 s less each time.

Apart from the imports a fork is what the command is: its own folder, environment, output and end.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


class Forks:
    """Starts stages; several may run at once."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None
        self._count = 0

    def start(self, stage: str, path: Path, **env: str) -> "Fork":
        """`python -m stages.STAGE` in the workspace `path`; its output goes to a file beside it."""
        self._count += 1
        log = path.with_name(f"{path.name}.{self._count}.log")
        asked = {"stage": stage, "path": str(path), "log": str(log), "env": env}
        return Fork(self, self.ask(asked), log)

    def run(self, stage: str, path: Path) -> None:
        """The same to its end."""
        fork = self.start(stage, path)
        assert fork.wait() == 0, fork.printed

    def ask(self, asked: dict[str, Any]) -> int:
        """The server's answer: see `serve`."""
        if self._server is None:
            env = {k: v for k, v in os.environ.items() if k != "NER_CHECKPOINTS"}
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forks"],
                cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def stop(self) -> None:
        if self._server:
            self._server.communicate()


class Fork:
    """A stage that was started."""

    def __init__(self, forks: Forks, pid: int, log: Path) -> None:
        self._forks, self._log = forks, log
        self.pid = pid

    @property
    def printed(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def end(self, how: signal.Signals, when: Callable[[], object]) -> int:
        """Sends it that signal as soon as `when()` is true; its exit code."""
        deadline = time.monotonic() + 60
        while not when():
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.001)
        os.kill(self.pid, how)
        return self.wait()

    def wait(self) -> int:
        """The exit code; -N where signal N ended it."""
        return self._forks.ask({"wait": self.pid})


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.stop()


def serve() -> None:
    """Forks as asked on standard input; prints the process id, or a fork's exit code if asked."""
    import stages.train  # noqa: F401 - with torch; not onnxruntime, whose threads no fork has

    # In a shell's background SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                become(**asked)
        print(answer, flush=True)


def become(stage: str, path: str, log: str, env: dict[str, str]) -> None:
    """Is `python -m stages.STAGE` from here on."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.chdir(path)
    os.environ.update(env)
    sys.argv = [stage]
    sys.exit(import_module(f"stages.{stage}").main())


if __name__ == "__main__":
    serve()
