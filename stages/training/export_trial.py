"""Runs the trial of the export beside a training, which ends if that fails."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.contract.errors import StageError

ROOT = Path(__file__).parents[2]
MODULE = "stages.onnx_export.trial"  # not imported: its code decides nothing of what is learnt
RANK = {"RANK", "LOCAL_RANK", "WORLD_SIZE"}  # torchrun's
Check = Callable[[bool], None]
"""Returns at once, or with True when the trial has ended; raises a StageError if it failed."""


@contextmanager
def export_trial(wanted: bool) -> Iterator[Check]:
    """Starts the trial in the current folder, if `wanted`; yields what tells of a failure."""
    if not wanted:
        yield lambda _: None
        return
    with tempfile.TemporaryFile() as said:  # a pipe could fill up
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            env={name: value for name, value in os.environ.items() if name not in RANK}
            | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )

        def check(wait: bool) -> None:
            if (process.wait() if wait else process.poll()) in (None, 0):
                return
            said.seek(0)
            [*lines] = filter(str.strip, said.read().decode(errors="replace").splitlines())
            reason = lines[-1] if lines else f"it ended with status {process.returncode}"
            raise StageError(
                "the trained model could not be exported, which was tried with two layers:"
                f" {reason.removeprefix('export: ')}"
            )

        try:
            yield check
        finally:
            process.kill()
            process.wait()
