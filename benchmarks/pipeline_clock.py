"""`python -m pipelines`, with the time that DVC and MLflow took of it written to a file.

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
from types import ModuleType
from typing import Any

from pipelines.cli import app as command_line
from pipelines.flows import local_server

# By tool; of its own process, and of those that it has started and seen end.
SECONDS: Counter[str] = Counter()
CPU_SECONDS: Counter[str] = Counter()


def main() -> None:
    """Runs the command line; the file gets {tool: {seconds, cpu_seconds}}."""
    file, *arguments = sys.argv[1:]
    local_server.start = _then_watch(local_server.start)
    code = command_line.main(arguments)
    figures = {
        tool: {"seconds": SECONDS[tool], "cpu_seconds": CPU_SECONDS[tool]} for tool in SECONDS
    }
    Path(file).write_text(json.dumps(figures), encoding="utf-8")
    sys.exit(code)


def _then_watch(start: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Prefect has to be imported after `start`, and so have those that would import it."""

    def started(project: Path) -> Any:
        wait = start(project)
        with _spent_by("dvc"):
            from pipelines.dvc_repo import stages as dvc_stages
        with _spent_by("mlflow"):
            from pipelines.tracking import connection, run_log
        _watch(dvc_stages, "dvc", "stages", "repro", "reports", "artifact")
        _watch(connection, "mlflow", "check")
        _watch(run_log, "mlflow", "log_run")
        return wait

    return started


def _watch(module: ModuleType, tool: str, *names: str) -> None:
    for name in names:
        setattr(module, name, _watched(getattr(module, name), tool))


def _watched(function: Callable[..., Any], tool: str) -> Callable[..., Any]:
    @wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        with _spent_by(tool):
            return function(*args, **kwargs)

    return watched


@contextmanager
def _spent_by(tool: str) -> Iterator[None]:
    """What is spent inside by another tool is that one's."""
    clocks = ((SECONDS, time.monotonic), (CPU_SECONDS, lambda: sum(os.times()[:4])))
    before = [clock() - spent.total() for spent, clock in clocks]
    try:
        yield
    finally:
        for (spent, clock), then in zip(clocks, before, strict=True):
            spent[tool] += clock() - spent.total() - then


if __name__ == "__main__":
    main()
