"""Runs `python -m pipelines` and writes to a file how much of its time DVC and MLflow took.

For `benchmarks.pipeline`: python -m benchmarks.pipeline_clock FILE ARGUMENT...
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from pipelines.cli import app as command_line
from pipelines.cli import run
from pipelines.flows.local_server import QUIET

# Tool → seconds; CPU seconds include those of child processes that have ended.
SECONDS: Counter[str] = Counter()
CPU_SECONDS: Counter[str] = Counter()


def main() -> None:
    """Runs the command line; the file gets {tool: {seconds, cpu_seconds}}."""
    file, *arguments = sys.argv[1:]
    os.environ.update(QUIET)
    start = run.server_at_once

    def server_at_once(folder: Path) -> Callable[[], None] | None:
        """Starts the server, then imports the tools, in a run's own order."""
        server = start(folder)
        _watch_tools()
        return server

    run.server_at_once = server_at_once
    code = command_line.main(arguments)
    figures = {
        tool: {"seconds": SECONDS[tool], "cpu_seconds": CPU_SECONDS[tool]} for tool in SECONDS
    }
    Path(file).write_text(json.dumps(figures), encoding="utf-8")
    sys.exit(code)


def _watch_tools() -> None:
    """Wraps the functions of DVC and MLflow; neither imports Prefect, which must come later."""
    with _spent_by("dvc"):
        from pipelines.dvc_repo import fingerprint, repro
        from pipelines.dvc_repo import stages as dvc_stages
        from pipelines.dvc_repo.preloaded import Dvc
    with _spent_by("mlflow"):
        from pipelines.tracking import connection, run_log
    of_dvc = (dvc_stages.stages, dvc_stages.reports, dvc_stages.model_folder)
    _watch(dvc_stages, "dvc", *of_dvc)
    _watch(repro, "dvc", repro.repro)
    _watch(Dvc, "dvc", Dvc.__enter__, Dvc.__exit__)  # CPU seconds of the forks come with the last
    _watch(fingerprint, "dvc", fingerprint.of)
    _watch(connection, "mlflow", connection.check)
    _watch(run_log, "mlflow", run_log.log_run)


def _watch(owner: object, tool: str, *functions: Callable[..., Any]) -> None:
    for function in functions:
        setattr(owner, function.__name__, _watched(function, tool))


def _watched(function: Callable[..., Any], tool: str) -> Callable[..., Any]:
    @wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        with _spent_by(tool):
            return function(*args, **kwargs)

    return watched


@contextmanager
def _spent_by(tool: str) -> Iterator[None]:
    """Adds the time spent inside to `tool`, except what a watched call inside adds to another."""
    clocks = ((SECONDS, time.monotonic), (CPU_SECONDS, lambda: sum(os.times()[:4])))
    before = [clock() - spent.total() for spent, clock in clocks]
    try:
        yield
    finally:
        for (spent, clock), then in zip(clocks, before, strict=True):
            spent[tool] += clock() - spent.total() - then


if __name__ == "__main__":
    main()
