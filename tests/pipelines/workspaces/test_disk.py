"""A disk that is too small for a run, or full: a real one of two megabytes."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import PipelineError
from pipelines.flows.prepare import disk_errors
from pipelines.workspaces import disk
from pipelines.workspaces import git as reading
from tests.pipelines.standin import git


def test_small_sizes_are_in_megabytes(small_disk: Path) -> None:
    disk.require(small_disk, 0.001)
    with pytest.raises(PipelineError, match=r"^2\.1 MB are free in \S+ and a run needs 5\.0 MB: "):
        disk.require(small_disk, 0.005)
    with pytest.raises(PipelineError, match=r"^2\.1 MB are free in \S+ and a run needs 3\.0 GB: "):
        disk.require(small_disk, 3.0)


def test_git_says_it_once(project: Path, small_disk: Path) -> None:
    for number in range(100):
        (project / f"file{number}").write_bytes(np.random.default_rng(number).bytes(50_000))
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "Files")
    head = reading.commit(project)
    assert head
    with pytest.raises(PipelineError) as error:
        reading.check_out(project, head, small_disk / "copy", project.parent / "index")
    assert re.fullmatch(
        rf"git checkout-index: unable to write file {small_disk}/copy/file\d+: the disk is full:"
        r" make room \(`python -m pipelines gc`\), and run again",
        str(error.value),
    )


def test_a_file_of_a_run(small_disk: Path) -> None:
    full = r"^The disk of \S+/small is full \(0\.0 MB free\): make room \(`python"
    with pytest.raises(PipelineError, match=full), disk_errors(small_disk):
        (small_disk / "file").write_bytes(bytes(4_000_000))
    wrong = r"\(\[Errno 2\] .*\): correct the permissions"
    with pytest.raises(PipelineError, match=wrong), disk_errors(small_disk):
        (small_disk / "none/file").write_bytes(b"")
