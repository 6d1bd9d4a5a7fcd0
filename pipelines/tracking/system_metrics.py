"""Samples CPU, memory and GPU of the machine while the stages run, with MLflow's own monitors.

It writes a file, as a stage does: nothing but `RunFiles` logs what files say.
"""

import csv
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

SAMPLE_S = 10.0
FIRST_S = 0.1
FILE = Path(".measured", "system.csv")  # MLflow shows a column as `system/NAME`


@contextmanager
def into(workspace: Path) -> Iterator[None]:
    """Samples until this is left, one row per sample; `step` is the second since the start."""
    over = threading.Event()
    monitors: list[Any] = [CPUMonitor()]  # type: ignore[no-untyped-call]
    with suppress(RuntimeError):  # no driver: no GPU
        monitors.append(GPUMonitor())  # type: ignore[no-untyped-call]
    thread = threading.Thread(
        target=_sample, args=(workspace / FILE, monitors, over), daemon=True, name="sampling"
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _sample(path: Path, monitors: list[Any], over: threading.Event) -> None:
    started = time.monotonic()
    path.parent.mkdir(exist_ok=True)
    _row(monitors)  # the first CPU figure covers no interval and is 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = None
        ended = False
        while not ended:
            ended = over.wait(SAMPLE_S if writer else FIRST_S)
            row = {"step": int(time.monotonic() - started), **_row(monitors)}
            if writer is None:
                writer = csv.DictWriter(file, row, extrasaction="ignore")
                writer.writeheader()
            writer.writerow(row)
            file.flush()


def _row(monitors: list[Any]) -> dict[str, float]:
    row: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        row |= monitor.aggregate_metrics()
        monitor.clear_metrics()
    return row
