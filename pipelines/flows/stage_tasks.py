"""DVC's stages as Prefect tasks, one at a time."""

import logging
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Cancelled, Completed, Failed

from pipelines.dvc_repo import repro
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.dvc_repo.preloaded import Dvc
from pipelines.errors import PipelineError, RunCancelledError, StageFailed, StageTimeoutError
from pipelines.flows import cancellation
from pipelines.tracking import system_metrics
from pipelines.tracking.live import Live
from pipelines.workspaces import stage_log
from pipelines.workspaces.workspace import Workspace

RETRIES = {"download": 2}  # the only stage that uses the network, so a second try may help
RETRY_AFTER_S = 10.0
CLEAR = "\x1b[K"  # to the end of the line
logging.getLogger("prefect.task_runs").addFilter(lambda record: _without_none(record))


def run_stages(
    made: Workspace,
    stages: list[dvc_stages.Stage],
    dvc: Dvc,
    again: Collection[str] = (),
    live: Live | None = None,
) -> None:
    """Runs the stages one at a time, as DVC requires; Prefect shows which reads from which.

    Those in `again` run although DVC has their outs. `live` is told when a stage begins and ends.

    Raises:
        PipelineError: from the first stage that fails, takes too long or is cancelled.
    """
    path, timeout_s = made.path, made.params.run.timeout_s
    states: dict[str, State] = {}
    with cancellation.watched() as cancelled, system_metrics.into(path):
        for number, stage in enumerate(stages, 1):
            if cancelled.is_set():
                raise RunCancelledError(f"Cancelled before stage {stage.name}")
            run = task(
                name=stage.name,
                task_run_name=stage.name,
                retries=RETRIES.get(stage.name, 0),
                retry_delay_seconds=RETRY_AFTER_S,
                retry_condition_fn=lambda _task, _run, state: state.name == "Failed",
                cache_policy=NO_CACHE,  # DVC is the cache
                persist_result=False,
            )(_repro)
            upstream = [states[name] for name in stage.upstream]
            options = (stage.name in again, timeout_s(stage.name), cancelled, dvc)
            place = f"Stage {number}/{len(stages)}"
            if live:
                live.begins(stage)
            states[stage.name] = run(
                path, stage.name, place, *options, return_state=True, wait_for=upstream
            )
            states[stage.name].result()
            if live:
                live.ended(stage)


def _repro(
    path: Path,
    stage: str,
    place: str,
    force: bool,
    timeout_s: float | None,
    cancelled: threading.Event,
    dvc: Dvc,
) -> State[PipelineError | None]:
    log, started, bar = get_run_logger(), time.monotonic(), _Bar()
    log.info("%s: %s", place, stage)
    stage_log.write(path, stage, place)

    def on_line(line: str) -> None:
        bar.clear()
        if not line.startswith("Running stage '"):  # DVC's, without the number
            log.info(line)
            stage_log.write(path, stage, line)

    try:
        ran = repro.repro(path, stage, on_line, force, timeout_s, cancelled, bar.show, dvc)
    except StageFailed as error:
        return Failed(message=f"exit code {error.exit_code}", data=error)
    except StageTimeoutError as error:
        return Failed(name="TimedOut", message=str(error), data=error)
    except RunCancelledError as error:
        return Cancelled(message=str(error), data=error)
    finally:
        bar.clear()
    # A state, not a value: Prefect takes equal values of two tasks for one and draws wrong edges.
    if not ran:
        return Completed(name="Cached", message=f"{place}: DVC had its outs already")
    return Completed(message=f"{place} took {time.monotonic() - started:.1f} s")


class _Bar:
    """The progress of a stage in the last line of the terminal; nothing without one."""

    def __init__(self) -> None:
        self.shown = False

    def show(self, text: str) -> None:
        if sys.stderr.isatty():
            self.shown = True
            sys.stderr.write(f"\r{CLEAR}{text}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.shown:
            self.shown = False
            sys.stderr.write(f"\r{CLEAR}")
            sys.stderr.flush()


def _without_none(record: logging.LogRecord) -> bool:
    """Drops the empty traceback that Prefect logs where a task returned its failure."""
    if record.exc_info and record.exc_info[0] is None:
        record.exc_info = None
    return True
