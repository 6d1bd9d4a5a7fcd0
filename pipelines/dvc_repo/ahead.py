"""Starts the DVC of the next stage while a stage runs: its imports take longer than its work."""

import fcntl
import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from urllib.parse import quote

from pipelines.dvc_repo import stages

PROGRAM = Path(__file__).with_name("in_turn.py")


@dataclass(frozen=True)
class _Waiting:
    process: "subprocess.Popen[str]"
    turn: IO[str]

    def begin(self) -> "subprocess.Popen[str]":
        self.turn.write("begin")
        self.turn.close()  # which releases it
        return self.process

    def end(self) -> None:
        self.process.communicate()
        self.turn.close()


@contextmanager
def ahead(
    workspace: Path, names: Sequence[str], forced: Collection[str]
) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Yields a function that begins `dvc repro` of a stage, and starts that of the next of `names`.

    Processes whose turn did not come are ended. Those of `forced` run although DVC has their outs.

    Raises:
        PipelineError: as `stages.environment`.
    """
    following, waiting = dict(pairwise(names)), dict[str, _Waiting]()

    def prepare(name: str | None) -> None:
        if name is None or name in waiting:
            return
        turn = Path(folder, quote(name, safe="")).open("w", encoding="utf-8")  # noqa: SIM115
        fcntl.flock(turn, fcntl.LOCK_EX)
        # -P: no module beside the program, or in the workspace, shadows another.
        program = ("-P", str(PROGRAM), turn.name)
        waiting[name] = _Waiting(stages.start(workspace, name, name in forced, program), turn)

    def begin(name: str) -> "subprocess.Popen[str]":
        prepare(name)
        prepare(following.get(name))
        return waiting.pop(name).begin()

    with TemporaryDirectory() as folder:
        try:
            yield begin
        finally:
            for each in waiting.values():
                each.end()
