"""Real runs of bin/install with a few small packages, all of them on this machine."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Install = Callable[..., CompletedProcess[str]]
Project = Callable[..., Path]

NOBODY = "http://127.0.0.1:9"  # refuses connections

HAS_NVIDIA_DRIVER = (
    Path("/proc/driver/nvidia/version").exists()
    or subprocess.run("nvidia-smi -L", shell=True, capture_output=True).returncode == 0  # noqa: S602
)
CPU = "" if HAS_NVIDIA_DRIVER else "+cpu"


def version_of(package: str, venv: Path) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.check_output([venv / "bin/python", "-c", code], text=True).strip()


def test_makes_the_environment(first: tuple[Path, str]):
    venv, said = first
    assert re.fullmatch(
        rf"install: making {venv} with Python 3\.1[12]\.\d+; .*\ninstall: torch 2\.13\.0: .*\n"
        rf"install: {venv} is ready\n",
        said,
    )
    assert version_of("torch", venv) == f"2.13.0{CPU}"
    assert version_of("thing", venv) == "1"
    assert not (venv / "tmp").exists()


def test_kept_environment_serves_another_clone_at_once(
    made: Path, project: Project, install: Install
):
    log = made / "install.log"
    before = log.stat().st_mtime_ns
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        result = install(project(), PIP_INDEX_URL=NOBODY)
        seconds.append(time.monotonic() - started)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert log.stat().st_mtime_ns == before
    assert min(seconds) < 0.1


def test_touched_files_change_nothing(made: Path, project: Project, install: Install):
    os.utime(project() / "pyproject.toml", (2e9, 2e9))
    assert install(project()).stdout == ""


def test_edit_that_asks_for_no_other_package_needs_no_index(
    made: Path, project: Project, install: Install
):
    with (project() / "pyproject.toml").open("a") as file:
        file.write("# A comment\n")
    clone = made.parent / "clone"
    result = install(clone, PIP_INDEX_URL=NOBODY, PIP_FIND_LINKS="")
    assert result.returncode == 0, result
    assert "bringing" in result.stdout
    assert install(clone).stdout == ""


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (NOBODY, "the package index cannot be reached: connect and run it again"),
        ("file:///nowhere", "pip could not install, its last lines are above"),
    ],
)
def test_failed_update_leaves_the_environment_as_it_was(
    made: Path, project: Project, install: Install, index: str, sentence: str
):
    result = install(project(dev="torch thing missing"), PIP_INDEX_URL=index, PIP_RETRIES="1")
    assert result.returncode == 1
    assert sentence in result.stderr.splitlines()[-1]
    assert install(project()).stdout == ""


def test_python_that_is_gone_starts_over(made: Path, project: Project, install: Install):
    (made / "bin/python").unlink()
    result = install(project(), PYTHONPATH=str(shadow("ensurepip", made.parent)))
    assert "cannot make environments" in result.stderr  # it got as far as choosing a python


def test_new_torch_is_the_cpu_build_of_the_own_index(
    made: Path, project: Project, install: Install
):
    assert install(project(torch="2.13.1")).returncode == 0
    assert version_of("torch", made) == f"2.13.1{CPU}"


def test_new_torch_is_the_index_build_where_a_driver_answers(
    made: Path, project: Project, install: Install, tmp_path: Path
):
    script(tmp_path / "path/nvidia-smi", "echo 'GPU 0: one'")
    result = install(project(torch="2.13.1"), PATH=f"{tmp_path}/path:{os.environ['PATH']}")
    assert "torch 2.13.1: the build with CUDA" in result.stdout
    assert version_of("torch", made) == "2.13.1"


@pytest.mark.slow  # it waits; an index that is not there is asked by default
def test_index_that_never_answers_does_not_hang(made: Path, project: Project, install: Install):
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        result = install(project(torch="2.13.2"), TORCH_CPU_INDEX=address)
    assert result.returncode == 0, result
    assert "torch 2.13.2: the build with CUDA" in result.stdout
    assert time.monotonic() - started < 40
    assert version_of("torch", made) == "2.13.2"


@pytest.mark.slow  # it waits for an index that is silent
def test_cpu_build_that_cannot_be_fetched_is_done_without(
    made: Path, project: Project, install: Install, tmp_path: Path
):
    (tmp_path / "index/torch").mkdir(parents=True)
    link = '<a href="torch-2.13.2+cpu-py3-none-any.whl">torch</a>'
    (tmp_path / "index/torch/index.html").write_text(link)
    result = install(project(torch="2.13.2"), TORCH_CPU_INDEX=(tmp_path / "index").as_uri())
    assert "torch 2.13.2: the build with CUDA" in result.stdout
    assert version_of("torch", made) == "2.13.2"


def script(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def shadow(module: str, folder: Path) -> Path:
    """A folder that hides the module where it comes first."""
    (folder / f"{module}.py").write_text("raise ModuleNotFoundError\n")
    return folder


@pytest.mark.parametrize("version", ["3.10.13", "3.13.0"])
def test_wrong_python_says_which_one_was_found(
    project: Project, install: Install, tmp_path: Path, version: str
):
    script(tmp_path / "python", f"echo {version}; echo /usr/bin/false")
    result = install(project(), PYTHON=str(tmp_path / "python"))
    assert result.returncode == 1
    assert result.stderr == (
        f"install: Python 3.11 or 3.12 is needed, but {tmp_path}/python is {version}: "
        "install one, or name it, make PYTHON=python3.12\n"
    )


def test_other_pythons_are_tried_and_venv_is_asked_for(
    project: Project, install: Install, tmp_path: Path
):
    other = {"3.12": "3.11", "3.11": "3.12"}
    mine = "{}.{}".format(*sys.version_info[:2])
    script(tmp_path / "path/python3", "echo 3.10.13; echo /usr/bin/false")
    script(tmp_path / f"path/python{other[mine]}", "echo 'no such version' >&2; exit 127")  # pyenv
    script(tmp_path / f"path/python{mine}", f'exec {sys._base_executable} "$@"')
    result = install(
        project(),
        PYTHON="",
        PATH=f"{tmp_path}/path:{os.environ['PATH']}",
        PYTHONPATH=str(shadow("ensurepip", tmp_path)),
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"install: python{mine} ({mine}.")
    assert f"apt install python3-venv (or python{mine}-venv)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_folder_of_something_else_is_left_alone(project: Project, install: Install, tmp_path: Path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/thesis.txt").write_text("mine")
    result = install(project())
    assert result.returncode == 1
    assert "holds something else than a Python environment" in result.stderr
    assert (tmp_path / "venv/thesis.txt").read_text() == "mine"


@pytest.mark.slow  # 6 s for a new environment; an update without an index is refused alike
def test_no_index_at_the_first_install(project: Project, install: Install):
    result = install(project(), PIP_INDEX_URL=NOBODY, PIP_RETRIES="1", PIP_FIND_LINKS="")
    assert result.returncode == 1
    assert "the package index cannot be reached" in result.stderr.splitlines()[-1]
