"""Two promotions at once: one wins, the other says so."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.registry import claim
from tests.pipelines.registered import Registered
from tests.pipelines.standin import clean_environment
from tests.pipelines.workspaces.test_process_group import wait_for


@pytest.mark.slow  # two processes that import all of MLflow
def test_of_two_at_once_the_first_wins_and_the_second_says_so(
    made: Registered, overlay: Path
) -> None:
    first, second = made.version("good"), made.version("better")
    one = stopped(made.project, overlay, first)
    try:
        two = start(made.project, overlay, second)
        _, said = two.communicate(timeout=120)
        assert two.returncode == 7, said
        assert said.startswith(f"Another promotion is running (promotion of version {first}, by ")
    finally:
        one.send_signal(signal.SIGCONT)
        _, said = one.communicate(timeout=120)
    assert one.returncode == 0, said
    assert made.aliases() == {"champion": first, "challenger": second}


@pytest.mark.slow  # as above
def test_of_two_on_two_hosts_the_slower_says_that_it_lost(
    made: Registered, overlay: Path, tmp_path: Path
) -> None:
    first, second = made.version("good"), made.version("better")
    other = tmp_path / "other"
    ignore = shutil.ignore_patterns("mlflow.db", "mlartifacts", ".runs")
    shutil.copytree(made.project, other, ignore=ignore)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{made.project}/mlflow.db"}
    one = stopped(made.project, overlay, first, **env)
    try:
        two = start(other, overlay, second, **env)
        _, said = two.communicate(timeout=120)
        assert two.returncode == 0, said
    finally:
        one.send_signal(signal.SIGCONT)
        _, said = one.communicate(timeout=120)
    assert one.returncode == 7, said
    assert said.startswith(
        "Another promotion finished first: the champion is now version 2, it was none when"
    )
    assert made.aliases() == {"champion": second}


def test_a_killed_promotion_leaves_no_lock(made: Registered, overlay: Path) -> None:
    version = made.version("good")
    process = stopped(made.project, overlay, version)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    with claim.project_lock(made.project, "the next"):
        pass
    assert made.aliases() == {"challenger": version}


def start(folder: Path, overlay: Path, version: str, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", "promote", version, "--params", str(overlay)],
        cwd=folder,
        env=clean_environment() | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(folder: Path, overlay: Path, version: str, **env: str) -> "subprocess.Popen[str]":
    """A promotion that stands still before its gates, until it gets SIGCONT."""
    lock = folder / ".runs" / "promote.lock"
    lock.unlink(missing_ok=True)
    process = start(folder, overlay, version, **env)
    wait_for(lambda: lock.exists() and lock.read_text(), "it holds the lock", 90)
    wait_for(lambda: stands_still(process, folder / "mlflow.db"), "it is between two queries", 30)
    return process


def stands_still(process: "subprocess.Popen[str]", database: Path) -> bool:
    """Stops it; not where it has the database locked, which nobody could write then."""
    process.send_signal(signal.SIGSTOP)
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
    return True
