"""The machine is sampled into a file that MLflow's curves are read from."""

import threading
from pathlib import Path

import pytest

from pipelines import figures, sampling
from tests.pipelines.test_supervise import wait_for


def test_each_sample_is_a_row_and_the_end_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_S", 0.05)
    path = tmp_path / sampling.FILE
    with sampling.into(tmp_path):
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) > 3, "samples")
    rows = len(path.read_text().splitlines()) - 1
    points = figures.curves({"system.csv": path})
    memory = [value for name, value, _ in points if name == "system/system_memory_usage_megabytes"]
    assert len(memory) == rows
    assert all(value > 0 for value in memory)
    assert "sampling" not in {thread.name for thread in threading.enumerate()}
