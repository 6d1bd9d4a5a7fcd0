"""Fixtures that several tests share."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = [
    "tests.support.exporting",
    "tests.support.forks",
    "tests.support.mirror",
    "tests.tiny",
    "tests.support.loopback",
]

# The longest: begun last, one of them would have one of two processes wait for the other.
FIRST = ("test_job.py", "test_main.py", "test_flow.py")

ROOT = Path(__file__).resolve().parents[1]

# Also of the processes that tests start: in a shell's background SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Of a stage that a test starts, however it does: no container engine is needed.
os.environ["NER_RUNTIME"] = "local"


@pytest.hookimpl(trylast=True)  # after they were put in random order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, the order among them and among the others as it was drawn."""
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("not allowed to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real corpus and encoder, where there are any: NER_SHARED, or beside the repository."""
    folder = Path(os.environ.get("NER_SHARED", ROOT.parent / "shared"))
    if not (folder / "msra").is_dir():
        pytest.skip(f"no real corpus: {folder} has no msra; NER_SHARED may name such a folder")
    return folder
