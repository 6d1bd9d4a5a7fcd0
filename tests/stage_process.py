"""A stage as a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT


def start(stage: str, path: Path, **env: str) -> "subprocess.Popen[str]":
    """`python -m stages.STAGE` in the workspace `path`."""
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"],
        cwd=path,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_made(
    pattern: str, path: Path, process: "subprocess.Popen[str]", within_s: float = 60
) -> None:
    """Returns when the stage, `process` in the workspace `path`, has made a file so named.

    It looks each millisecond, as a tiny training's next checkpoint soon takes a checkpoint's place.
    """
    deadline = time.monotonic() + within_s
    while not list(path.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"no {pattern} within {within_s} s"
        time.sleep(0.001)


def files(path: Path) -> dict[str, bytes]:
    """Every file below `path`."""
    return {
        str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()
    }
