"""The checks of `doctor`, each against the real thing."""

import os
import socket
from pathlib import Path

import pytest

from pipelines.cli import doctor
from pipelines.doctor.checks import dvc, machine, mlflow, network, packages, prefect
from pipelines.doctor.checks.finding import Level, Requirements
from tests.pipelines import mlflow_server
from tests.pipelines.dvc_repo.test_remote import s3, set_remote
from tests.pipelines.standin import closed_port

__all__ = ["s3"]


@pytest.fixture(autouse=True)
def _in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.mark.parametrize(
    ("cuda", "level", "end"),
    [
        ("needed", Level.ERROR, "no GPU, and params.yaml needs CUDA"),
        ("welcome", Level.WARNING, "no GPU, so the CPU is used"),
        ("unused", Level.OK, "no GPU, and params.yaml needs no GPU"),
    ],
)
def test_no_gpu_is_as_bad_as_one_is_asked_for(cuda, level: Level, end: str) -> None:
    found = Requirements(cuda).without_cuda("GPU", "no GPU", "do this")
    assert (found.level, found.message) == (level, end)
    assert found.remedy == ("" if cuda == "unused" else "do this")


def test_a_disk_too_full_for_a_run(project: Path) -> None:
    [_, disk, *_] = machine.check(Requirements(free_disk_gb=1e9))
    assert disk.level is Level.ERROR
    assert disk.message.endswith("and a run needs 1000000000.0 GB")
    assert disk.remedy.startswith("make room (`python -m pipelines gc`)")


def test_a_folder_whose_name_a_library_cannot_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "100%25").mkdir()
    monkeypatch.chdir(tmp_path / "100%25")
    [found, *_] = machine.check(Requirements())
    assert (found.level, found.remedy) == (Level.ERROR, "rename that folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    [found, *_] = machine.check(Requirements())
    assert found.message == f"{tmp_path / '100%25'} can be written to"


def test_only_what_is_installed_in_another_version_differs() -> None:
    pins = ["torch==2.13.0", "numpy==2.2.0", "onnx==1.20 ; python_version < '3'", "gone==1"]
    installed = {"torch": "2.13.0+cpu", "numpy": "2.3.0", "onnx": "1.0", "own": "1"}
    assert packages.different(pins, installed) == ["numpy 2.3.0 (not 2.2.0)"]


def test_a_remote_that_is_a_folder(project: Path, tmp_path: Path) -> None:
    assert [found.level for found in dvc.check(Requirements())] == [Level.OK]
    store = tmp_path / "store"
    set_remote(project, f"    url = {store}\n")
    [found] = dvc.check(Requirements())
    assert (found.level, found.message) == (Level.WARNING, f"remote store ({store}) does not exist")
    store.mkdir()
    [found] = dvc.check(Requirements())
    assert (found.level, found.message) == (Level.OK, f"remote store ({store}) answers")
    assert not (project / ".dvc" / "tmp").exists()


def test_a_remote_is_named_without_its_password(project: Path) -> None:
    set_remote(project, "    url = ssh://me:p@ss@127.0.0.1/x\n")  # without a package for SSH
    [found] = dvc.check(Requirements())
    assert found.level is Level.ERROR
    assert found.message.startswith("remote store (ssh://***@127.0.0.1/x) does not answer: ")


@pytest.mark.parametrize(
    ("bucket", "level", "end"),
    [
        ("bucket", Level.WARNING, "(s3://bucket/ner) does not exist"),
        ("none", Level.ERROR, "(s3://none/ner) does not exist, or refuses access"),
    ],
)
def test_a_remote_in_s3(project: Path, s3: str, bucket: str, level: Level, end: str) -> None:
    set_remote(project, s3.replace("bucket", bucket))
    [found] = dvc.check(Requirements())
    assert (found.level, found.message) == (level, f"remote store {end}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://bucket/ner", "requires 'dvc-gs'"),
        ("https://127.0.0.1:1/x", "does not exist, or refuses access"),
    ],
)
def test_a_remote_that_does_not_answer(project: Path, url: str, said: str) -> None:
    set_remote(project, f"    url = {url}\n")
    [found] = dvc.check(Requirements())
    assert found.level is Level.ERROR
    assert said in found.message


@pytest.mark.slow  # a server of its own
def test_mlflow_as_the_flow_would_find_it(project, monkeypatch, tmp_path, empty_mlflow) -> None:
    [found] = mlflow.check(Requirements())
    assert (found.level, found.message[:16]) == (Level.OK, "no server is set")
    assert not (project / "mlflow.db").exists()
    url = mlflow_server.prepare(tmp_path / "server", empty_mlflow)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    with mlflow_server.serving(tmp_path / "server", url):
        [found] = mlflow.check(Requirements())
        assert (found.level, found.message) == (Level.OK, f"{url} answers")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    [found] = mlflow.check(Requirements())
    assert (found.level, found.remedy[:8]) == (Level.ERROR, "start it")
    assert found.message.startswith(f"MLflow at {url} cannot be used")


def test_prefect_as_a_run_would_find_it(monkeypatch, tmp_path: Path, prefect_url: str) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    [found] = prefect.check(Requirements())
    assert (found.level, found.message) == (Level.OK, f"{prefect_url} answers")
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{closed_port()}/api")
    [found] = prefect.check(Requirements())
    assert (found.level, found.remedy[:8]) == (Level.ERROR, "start it")
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:p@ss/w@127.0.0.1:{closed_port()}/api")
    [found] = prefect.check(Requirements())
    assert found.message.startswith("Prefect's server at http://***@127.0.0.1:")
    monkeypatch.delenv("PREFECT_API_URL")
    [found] = prefect.check(Requirements())
    assert (found.level, found.message[:16]) == (Level.OK, "no server is set")


@pytest.mark.parametrize("columns", [60, 200])
def test_the_table_of_a_terminal_says_every_word(columns, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    row = {"check": "disk", "level": "error", "said": "one two three " * 9, "do": "make room"}
    assert doctor.show_table([row])
    shown = capsys.readouterr().out
    assert " ".join(shown.split()) == f"error disk {'one two three ' * 9}: make room"
    assert all(len(line) <= columns for line in shown.split(os.linesep))


def test_variables_of_the_network(monkeypatch, tmp_path: Path) -> None:
    for name in (*network.PROXIES, "NO_PROXY", *network.CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    [found] = network.check(Requirements())
    assert (found.level, found.message) == (Level.OK, "no proxy is set")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://me:secret@127.0.0.1:{proxy.getsockname()[1]}"  # pragma: allowlist secret
        monkeypatch.setenv("https_proxy", address)
        [found] = network.check(Requirements())
        assert (found.level, found.message) == (Level.OK, "https_proxy: proxies answer")
        monkeypatch.setenv("HTTPS_PROXY", f"{address}/")
        [found] = network.check(Requirements())
        assert (found.level, found.remedy) == (Level.WARNING, "set both to the same")
    monkeypatch.delenv("HTTPS_PROXY")
    [found] = network.check(Requirements())
    assert found.message.startswith("the proxy http://***@127.0.0.1:")
    monkeypatch.setenv("https_proxy", f"socks5://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{tmp_path}/none.pem")
    monkeypatch.setenv("no_proxy", "::1/128")
    found = [*network.check(Requirements())]
    assert [line.level for line in found] == [Level.ERROR] * 2
    assert found[0].message == f"REQUESTS_CA_BUNDLE is {tmp_path}/none.pem, which does not exist"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    [wrong, silent] = network.check(Requirements())
    assert wrong.message.startswith("https_proxy is socks5://127.0.0.1:")
    assert wrong.remedy == "name an http:// proxy, or unset it"
    assert "does not answer" in silent.message
