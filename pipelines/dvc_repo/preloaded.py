"""Runs DVC's commands in forks of a process that has imported DVC, which takes longer than they."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

from pipelines.dvc_repo import stages
from pipelines.workspaces import checkpoints, process_group, run_state

# With -P and not -m: the workspace has a package `pipelines` too, of the commit that runs.
ROOT = str(Path(__file__).parents[2])
PROGRAM = f"import sys; sys.path.append({ROOT!r}); from {__name__} import serve; serve()"
END = "\0DVC ended with "  # begins the line after the last one of a command; its code follows
# What a command imports when it needs it.
MODULES = (
    "dvc.cli.parser",
    "dvc.cachemgr",
    "dvc.dirs",
    "dvc.lock",
    "dvc.repo.datasets",
    "dvc.repo.plots",
    "dvc.repo.stage",
    "dvc.rwlock",
    "dvc.scm",
    "dvc.utils.strictyaml",
    "dvc_data.hashfile.db.local",
    "configobj",
    "ruamel.yaml",
)


@dataclass
class Command:
    """A command of DVC that runs in `process`; `code` is its exit code once it has ended."""

    process: "subprocess.Popen[str]"
    stdout: TextIOWrapper
    code: int | None = None

    def printed(self) -> Iterator[str]:
        """What it prints, by lines, until its end."""
        for text in self.stdout:
            if text.startswith(END):
                self.code = int(text.removeprefix(END))
                return
            yield text
        self.code = self.process.wait()


class Dvc:
    """DVC in a workspace, for one command at a time; to leave it ends all that runs."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def __enter__(self) -> "Dvc":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @contextmanager
    def command(self, arguments: list[str]) -> Iterator[Command]:
        """Begins `dvc` with these arguments; all that it started has ended when this is left."""
        if self._stdin.closed or self._process.poll() is not None:  # the one before was stopped
            self._end()
            self._start()
        command = Command(self._process, self._stdout)
        with suppress(BrokenPipeError):
            os.write(self._stdin.fileno(), json.dumps([arguments, self._env()]).encode() + b"\n")
        try:
            yield command
        finally:
            if command.code is None:
                self._end()
            if self._stdin.closed:
                run_state.unlock(self.workspace)

    def _start(self) -> None:
        program = [sys.executable, "-P", "-c", PROGRAM]
        self._process = process_group.supervisor(program, self.workspace, self._env())
        self._stdin = cast(IO[str], self._process.stdin)
        self._stdout = cast(TextIOWrapper, self._process.stdout)
        self._stdout.reconfigure(newline="")  # or states of a bar would be lines

    def _env(self) -> dict[str, str]:
        more = {"NER_LIVE": stages.MEASURED, "PYTHONIOENCODING": process_group.ENCODING}
        return stages.environment() | checkpoints.environment(self.workspace) | more

    def _end(self) -> None:
        self._stdin.close()
        self._stdout.close()  # what it prints now, nobody reads: it would wait for that
        self._process.wait()


def serve() -> None:
    """Runs a command for each line on stdin, its arguments and environment, and prints its code."""
    gc.set_threshold(100_000)
    for module in MODULES:
        import_module(module)
    gc.freeze()
    wake = process_group.heed()
    for asked in sys.stdin:
        code = process_group.supervise(_fork(*json.loads(asked)), wake)
        print(f"\n{END}{code}", flush=True)


def _fork(arguments: list[str], env: dict[str, str]) -> int:
    from dvc.cli import main

    if child := os.fork():
        return child
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.set_wakeup_fd(-1)
    for number in process_group.HEEDED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    sys.exit(main(arguments))
