"""What a process spends; `spent.py FILE COMMAND...` adds that to FILE, a line of JSON."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def spent(command: list[str], **options: object) -> dict[str, float]:
    """Runs `command`, with the options of `subprocess.Popen`; all that it starts counts as well."""
    started = time.monotonic()
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"`{' '.join(command)}` ended with {process.returncode}")
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_mb": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    line = {"command": sys.argv[2:], **spent(sys.argv[2:])}
    with Path(sys.argv[1]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
