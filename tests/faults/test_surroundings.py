"""A disk, a cache, a clock, shared memory or a database that fail: said, nothing lost, mended."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pipelines.dvc_repo import lockfile
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.flows import local_server
from pipelines.tracking import connection
from tests.faults import left
from tests.faults.rounds import Round
from tests.pipelines import standin
from tests.pipelines.workspaces.test_process_group import wait_for

LIBFAKETIME = os.environ.get(
    "NER_LIBFAKETIME", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
)
mounts = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@contextmanager
def mounted(path: Path, *options: str):
    subprocess.run(["mount", *options, str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_locked_mlflow_database_is_said_and_free_again_it_is_used(
    empty_mlflow, tmp_path, monkeypatch
) -> None:
    shutil.copy(empty_mlflow, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db?timeout=0.2")
    other = sqlite3.connect(tmp_path / "mlflow.db")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(PipelineError, match=r"^MLflow at .* cannot be used \(.*database is locked"):
        connection.check(tmp_path)
    other.rollback()
    connection.check(tmp_path)


def failed(disturbed: Round) -> str:
    """What a run says that has to fail."""
    disturbed.forks.start(disturbed.project, disturbed.log, *disturbed.arguments, **disturbed.env)
    code = disturbed.forks.wait()
    said = disturbed.log.read_text()
    assert code == 1, said
    assert "Traceback" not in said, said
    disturbed.log.unlink()
    return said


@pytest.mark.faults
@mounts
@pytest.mark.parametrize("free_kb", [0, 150, 300])
def test_a_full_disk(two, forked, tmp_path, free_kb) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=64m", "none"):
        project = two.copy(disk)
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text("run: {free_disk_gb: 0}")
        disturbed = Round(forked, project, two.dvc_lock, "run", "--params", str(overlay))
        disturbed.log = tmp_path / "log"
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(b"x" * (free - free_kb * 1024))
        said = failed(disturbed)
        assert re.search("disk is full|No space left|unable to write file", said)  # the last: Git
        (disk / "filler").unlink()
        disturbed.complete()


@pytest.mark.faults
@mounts
def test_a_read_only_cache(two, forked, tmp_path) -> None:
    project = two.copy(tmp_path)
    cache = project / ".dvc" / "cache"
    cache.mkdir()
    disturbed = Round(forked, project, two.dvc_lock)
    with mounted(cache, "-t", "tmpfs", "-o", "ro", "none"):
        assert "Read-only file system" in failed(disturbed)
    disturbed.complete()


@pytest.mark.faults
@pytest.mark.skipif(not Path(LIBFAKETIME).is_file(), reason="libfaketime is not installed")
@pytest.mark.parametrize("step", ["-400d", "+400d"])
def test_a_clock_that_is_set(two, tmp_path, step) -> None:
    """While stages run: DVC knows what changed by times of files, among others."""
    project, clock = two.copy(tmp_path), tmp_path / "clock"
    clock.write_text("+0")
    fake = {"LD_PRELOAD": LIBFAKETIME, "FAKETIME_TIMESTAMP_FILE": str(clock)}
    fake |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", left.MARK: str(project)}
    for now in ("+0", step):
        clock.write_text(now)
        command = [sys.executable, "-m", "dvc", "repro", "--quiet", *(["train"] * (now == "+0"))]
        subprocess.run(command, cwd=project, env=dvc_stages.environment() | fake, check=True)
    assert lockfile.sha256(project / "dvc.lock") == two.dvc_lock
    again = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=project, env=dvc_stages.environment(),
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "Running stage" not in again.stdout


@pytest.mark.faults
@pytest.mark.parametrize("way", ["killed", "locked"])
def test_a_prefect_server_that_goes_away_after_the_first_stage(two, tmp_path, way) -> None:
    """The run's own: with one of a team the run asks the same things of it."""
    project = two.copy(tmp_path)
    env = standin.clean_environment() | {"PYTHONPATH": str(standin.ROOT), left.MARK: str(project)}
    if way == "locked":
        env |= {"PREFECT_CLIENT_MAX_RETRIES": "0", "PREFECT_API_REQUEST_TIMEOUT": "2"}
    command, log = [sys.executable, "-m", "pipelines", "run"], tmp_path / "log"
    with log.open("w") as out:
        run = subprocess.Popen(command, cwd=project, env=env, stdout=out, stderr=out)
        wait_for(lambda: "train: at work" in log.read_text(), log.read_text)
        if way == "killed":
            for process in psutil.Process(run.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if process.cmdline()[2:4] == [local_server.UVICORN, "--factory"]:
                        process.kill()
        else:
            other = sqlite3.connect(project / ".runs/prefect/prefect.db", timeout=30)
            other.execute("BEGIN EXCLUSIVE")
        code = run.wait()
    if way == "locked":
        other.close()
    said = log.read_text()
    # One that was killed is started again, and Prefect's client waits for it.
    assert code == (1 if way == "locked" else 0), said
    assert way == "killed" or re.search(
        r"^Prefect's server at http\S* stopped answering during the run", said, re.MULTILINE
    )
    again = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Nothing to do"), again.stdout
    left.nothing(project, two.dvc_lock)


@pytest.mark.faults
@pytest.mark.timeout(1200)
@mounts
def test_shared_memory_of_64_mb(sample, tmp_path) -> None:
    project = sample.copy(tmp_path)
    small = 'mount -t tmpfs -o size=64m none /dev/shm && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", small, "-", sys.executable, "-m", "dvc", "repro"]
    subprocess.run(command, cwd=project, env=dvc_stages.environment(), check=True)
    assert lockfile.sha256(project / "dvc.lock") == sample.dvc_lock
