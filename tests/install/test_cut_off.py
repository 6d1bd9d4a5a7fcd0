"""Installs that do not come to their end: killed, or the disk is full."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import TextIO

import pytest

Install = Callable[..., CompletedProcess[str]]
Project = Callable[..., Path]

BUILD = """
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    open({gate!r}).read()
    raise SystemExit("cut off")
"""
needs_mount = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk"
)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A pipe; whoever builds the package `slow` waits at its other end."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    source = tmp_path / "slow-1"
    source.mkdir()
    (source / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: slow\nVersion: 1\n")
    (source / "build.py").write_text(BUILD.format(gate=str(gate)))
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    )
    (tmp_path / "sdist").mkdir()
    with tarfile.open(tmp_path / "sdist/slow-1.tar.gz", "w:gz") as archive:
        archive.add(source, "slow-1")
    return gate


def start(clone: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [clone / "bin/install"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def reached(gate: Path, process: subprocess.Popen[str]) -> int:
    """The pipe's writing end, once the build waits at it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        with suppress(OSError):  # as long as nobody reads
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.05)
    pytest.fail("the build did not begin")


@pytest.fixture
def held(
    made: Path, project: Project, variables: dict[str, str], gate: Path
) -> Iterator[tuple[subprocess.Popen[str], TextIO]]:
    """An update of `made` that is held in the middle, until the file is closed."""
    links = f"{variables['PIP_FIND_LINKS']} {gate.parent / 'sdist'}"
    process = start(project(dev="torch thing slow"), variables | {"PIP_FIND_LINKS": links})
    with os.fdopen(reached(gate, process), "w") as file:
        yield process, file


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_install_does_not_count(
    held: tuple[subprocess.Popen[str], TextIO],
    project: Project,
    install: Install,
    stop: signal.Signals,
):
    process, _ = held
    if stop == signal.SIGINT:  # Ctrl-C goes to all of them
        os.killpg(process.pid, stop)
    else:
        process.send_signal(stop)
    said, _ = process.communicate(timeout=60)
    assert said.endswith("interrupted; the next call starts over\n")
    assert process.returncode == 1
    again = install(project(), PYTHON="no-such-python")  # the files that `made` was made from
    assert again.stderr.startswith("install: Python 3.11 or 3.12 is needed, but there is no")


@pytest.mark.slow  # an interrupted one, above, starts over too
def test_killed_install_starts_over_when_its_pip_has_ended(
    held: tuple[subprocess.Popen[str], TextIO],
    made: Path,
    project: Project,
    variables: dict[str, str],
):
    process, file = held
    process.kill()
    process.wait()
    again = start(project(), variables)
    assert again.stdout.readline() == f"install: waiting for another install of {made}\n"
    file.close()  # lets pip go on
    said, _ = again.communicate(timeout=120)
    assert said.startswith(f"install: making {made} with Python")
    assert said.endswith(f"install: {made} is ready\n")
    assert again.returncode == 0


def on_disk(size_mb: int, disk: Path, commands: str, variables: dict[str, str]) -> str:
    """Runs shell commands that see `disk` as a disk of that size, and returns what they said."""
    disk.mkdir()
    mounted = f"mount -t tmpfs -o size={size_mb}m none {disk} && {commands}"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted],
        env=variables | {"VENV": str(disk / "venv")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return result.stdout


@needs_mount
def test_small_disk_is_refused_before_anything_is_fetched(
    project: Project, variables: dict[str, str], tmp_path: Path
):
    said = on_disk(64, tmp_path / "disk", f"{project()}/bin/install; echo $?", variables)
    assert re.fullmatch(
        rf"install: {tmp_path}/disk/venv needs \d+ MB of disk and has 6\d MB: "
        r"free some, or choose another place, make VENV=FOLDER\n1\n",
        said,
    )


@pytest.mark.slow  # 12 s
@needs_mount
def test_disk_that_fills_up_leaves_the_environment_as_it_was(
    made: Path,
    write_project: Callable[..., Path],
    write_wheel: Callable[..., None],
    variables: dict[str, str],
    tmp_path: Path,
):
    (tmp_path / "zeros").write_bytes(bytes(50_000_000))
    write_wheel(tmp_path, "big", "1", {"big.bin": tmp_path / "zeros"})
    old = write_project(tmp_path / "old")
    new = write_project(tmp_path / "new", dev="torch thing big")
    said = on_disk(
        50,
        tmp_path / "disk",
        f"cp -a {made} {tmp_path}/disk && ! {new}/bin/install && {old}/bin/install && echo still",
        variables | {"PIP_FIND_LINKS": f"{variables['PIP_FIND_LINKS']} {tmp_path}"},
    )
    assert said.endswith(
        "install: the disk is full: free some, or choose another place, make VENV=FOLDER\nstill\n"
    )
