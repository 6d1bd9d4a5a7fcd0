"""The machine is sampled into a file that MLflow's curves are read from."""

import threading
from pathlib import Path

import pytest

from pipelines.tracking import report_values, system_metrics
from tests.pipelines.workspaces.test_process_group import wait_for


def test_each_sample_is_a_row_and_the_end_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_metrics, "SAMPLE_S", 0.05)
    path = tmp_path / system_metrics.FILE
    with system_metrics.into(tmp_path):
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) > 3, "samples")
    rows = len(path.read_text().splitlines()) - 1
    points = report_values.curves({"system.csv": path})
    memory = [value for name, value, _ in points if name == "system/system_memory_usage_megabytes"]
    assert len(memory) == rows
    assert all(value > 0 for value in memory)
    assert "sampling" not in {thread.name for thread in threading.enumerate()}
