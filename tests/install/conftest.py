import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

import pytest

from tests.support.once import once

ROOT = Path(__file__).parents[2]
Install = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that an index would give: pip, a torch without code, and a package to ask for."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = importlib.metadata.distribution("pip")
    wheel(folder, "pip", pip.version, {str(f): f.locate() for f in pip.files if ".." not in str(f)})
    wheel(folder, "thing", "1")
    for version in ("2.13.0", "2.13.1", "2.13.1+cpu", "2.13.2"):
        wheel(folder, "torch", version)
    return folder


def wheel(folder: Path, name: str, version: str, files: dict[str, Path] | None = None) -> None:
    """Puts a wheel of these files into a folder."""
    info = f"{name}-{version}.dist-info"
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, source in (files or {}).items():
            if not path.startswith(info) or path.endswith("entry_points.txt"):
                archive.write(source, path)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="session")
def write_wheel() -> Callable[..., None]:
    return wheel


@pytest.fixture(scope="session")
def cpu_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an index that has torch 2.13.0's CPU build."""
    folder = tmp_path_factory.mktemp("cpu")
    (folder / "torch").mkdir()
    wheel(folder / "torch", "torch", "2.13.0+cpu")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def offline(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which nothing outside this machine can be asked."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "MAKE"))}
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": str(wheels),
        "PIP_INDEX_URL": tmp_path_factory.mktemp("index").as_uri(),
        "PIP_RETRIES": "0",
        "PYTHON": sys._base_executable,
        "TORCH_CPU_INDEX": "http://127.0.0.1:9",
    }


@pytest.fixture(scope="session")
def write_project() -> Callable[..., Path]:
    """Makes a project of a few packages, with the real bin/install."""

    def write(folder: Path, dev: str = "torch thing", torch: str = "2.13.0") -> Path:
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "bin/install", folder / "bin/install")
        (folder / "pyproject.toml").write_text(f"[dependency-groups]\ndev = {dev.split()}\n")
        (folder / "constraints.txt").write_text(f"thing==1\ntorch=={torch}\n")
        return folder

    return write


@pytest.fixture(scope="session")
def first(
    offline: dict[str, str],
    cpu_index: str,
    write_project: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """An environment made from nothing, not to be changed, and what was said."""

    def make(folder: Path) -> None:
        result = subprocess.run(
            [write_project(folder) / "bin/install"],
            env=offline | {"TORCH_CPU_INDEX": cpu_index, "VENV": str(folder / "venv")},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result
        (folder / "said").write_text(result.stdout, encoding="utf-8")

    folder = once(tmp_path_factory, "first-install", make)
    return folder / "venv", (folder / "said").read_text(encoding="utf-8")


@pytest.fixture
def made(first: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of that environment, kept for another clone."""
    return shutil.copytree(first[0], tmp_path / "venv", symlinks=True)


@pytest.fixture
def project(write_project: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes this test's clone, anew at every call."""
    return partial(write_project, tmp_path / "clone")


@pytest.fixture
def variables(offline: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """With the environment in tmp_path."""
    return offline | {"VENV": str(tmp_path / "venv")}


@pytest.fixture
def install(variables: dict[str, str]) -> Install:
    """Runs a clone's bin/install."""

    def run(clone: Path, **others: str) -> subprocess.CompletedProcess[str]:
        command = [clone / "bin/install"]
        env = variables | others
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    return run
