"""What a figure was measured on."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def machine() -> dict[str, str | int | float]:
    """Date, CPU, cores that may be used, load before, Python."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_1m_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    """The model name of the CPU, or the architecture if the kernel does not tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
