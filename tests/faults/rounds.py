"""Runs that are killed in a project, and the one after them that has to make all of it good."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import left
from tests.faults.forked import Forks
from tests.faults.killing import Kill, land


class Round:
    """A project and the command that is run in it.

    Args:
        forks: What runs it.
        project: Where nothing has run yet.
        dvc_lock: The hash of what an undisturbed run leaves.
        arguments: Of `python -m pipelines`.
        env: More of its environment.
    """

    run_s = 6.0  # of an undisturbed run, as far as is known: a run that beat its kill tells

    def __init__(
        self, forks: Forks, project: Path, dvc_lock: str, *arguments: str, **env: str
    ) -> None:
        self.forks, self.project, self.dvc_lock = forks, project, dvc_lock
        self.arguments, self.env = arguments or ("run",), {left.MARK: str(project), **env}
        self.log = project.with_name("log")
        self.said: list[str] = []

    def disturb(self, kill: Kill, server: int | None = None) -> bool:
        """Runs and kills; returns whether there was something to kill."""
        started = time.monotonic()
        flow = self.forks.start(self.project, self.log, *self.arguments, **self.env)
        hit = land(kill, flow, Round.run_s, server)
        code, took_s = self.forks.wait(), time.monotonic() - started
        self.said.append(f"{kill}: {'hit' if hit else 'missed'}, {code} after {took_s:.1f} s")
        if not hit:
            Round.run_s = took_s
        return hit

    def complete(self) -> None:
        """Runs to the end; fails unless all is there that should be, and nothing else."""
        started = time.monotonic()
        self.forks.start(self.project, self.log, *self.arguments, **self.env)
        code, took_s = self.forks.wait(), time.monotonic() - started
        self.said.append(f"the last run: {code} after {took_s:.1f} s")
        assert code == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        left.nothing(self.project, self.dvc_lock)

    @contextmanager
    def told(self, seed: object) -> Iterator[None]:
        """Prints how it went, for the one who has to repeat it."""
        try:
            yield
        finally:
            print(f"NER_FAULTS_SEED={seed}, {self.project}:", *self.said, sep="\n  ")
