"""Seeded random kills: which process of a run, and when."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import psutil

from pipelines.dvc_repo.preloaded import PROGRAM
from tests.pipelines.workspaces.test_process_group import gone

# What is killed.
FLOW, SUPERVISOR, DVC, STAGE, MLFLOW = "flow", "supervisor", "DVC", "stage", "MLflow"
OF_A_RUN = (FLOW, FLOW, SUPERVISOR, DVC, STAGE)  # the flow twice: most of a run is its own
STAGES_SHARE = 0.7  # of a run's time: the last moment at which a stage is looked for


@dataclass(frozen=True)
class Kill:
    """SIGKILL to the first process of that kind that is there after `moment` of a run's time."""

    victim: str
    moment: float

    def __str__(self) -> str:
        return f"{self.victim} at {self.moment:.3f}"


def draw(random: Random, victims: tuple[str, ...]) -> Kill:
    victim = random.choice(victims)
    return Kill(victim, random.random() * (STAGES_SHARE if victim in (DVC, STAGE) else 1))


def land(kill: Kill, flow: int, run_s: float, server: int | None = None) -> bool:
    """Waits for the moment and kills; False where the flow ended before.

    Args:
        kill: What to do.
        flow: Process id of the flow, which has just begun.
        run_s: How long a run takes that nobody disturbs.
        server: Process id above MLflow's server; all below it is killed.
    """
    due = time.monotonic() + kill.moment * run_s
    while not gone(flow):
        if time.monotonic() >= due and (found := _find(kill.victim, flow, server)):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


def _find(victim: str, flow: int, server: int | None) -> list[int]:
    if victim == FLOW:
        return [flow]
    if victim == MLFLOW:
        return [process.pid for process in psutil.Process(server).children(recursive=True)]
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(flow).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if _is(victim, process):
                    return [process.pid]
    return []


def _is(victim: str, process: psutil.Process) -> bool:
    command = process.cmdline()
    if victim in (SUPERVISOR, DVC):  # which is a fork of the other
        ours, above = command[3:4] == [PROGRAM], process.parent()
        forked = ours and above is not None and above.cmdline() == command
        return ours and forked == (victim == DVC)
    return victim == STAGE and (
        command[-2:-1] == ["stage.py"] or (command[1:2] == ["-m"] and command[2][:7] == "stages.")
    )
