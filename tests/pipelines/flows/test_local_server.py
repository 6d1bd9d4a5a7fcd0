"""Which Prefect server a run uses."""

import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.flows import local_server
from pipelines.names import OURS
from pipelines.workspaces import empty_tables
from tests.pipelines.standin import clean_environment, closed_port, pipelines


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in ("PREFECT_API_URL", "PREFECT_PROFILE"):
        monkeypatch.setenv(key, "")  # or what a test sets would stay for the next one
        monkeypatch.delenv(key)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))


def profile(home: Path, url: str) -> None:
    home.mkdir()
    text = f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{url}"\n[profiles.other]\n'
    (home / "profiles.toml").write_text(text)


def test_a_named_server_that_does_not_answer_is_an_error(monkeypatch, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(PipelineError, match=f"^Prefect's server at {url} does not answer"):
        local_server.start(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_that_no_client_can_use_is_named(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:7891")
    for start in (partial(local_server.start, tmp_path), local_server.require):
        with pytest.raises(
            PipelineError, match=r"cannot be asked: ALL_PROXY is socks5://\S+, which"
        ):
            start()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ("", "", "127.0.0.1"),
        ("", "corp.example", "corp.example,127.0.0.1"),
        ("a.example,b", "", "a.example,b,127.0.0.1"),
        ("a", "b,a,127.0.0.1", "a,b,127.0.0.1"),
        ("", "*", "*"),
    ],
)
def test_what_the_user_excepts_from_the_proxy_stays(monkeypatch, small, large, expected) -> None:
    monkeypatch.setenv("no_proxy", small)
    monkeypatch.setenv("NO_PROXY", large)
    local_server.reach_loopback_directly()
    assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == (expected, expected)
    assert urllib.request.proxy_bypass("127.0.0.1")


def test_the_server_of_the_active_profile_stands(monkeypatch, tmp_path: Path, prefect_url) -> None:
    profile(tmp_path / "home", prefect_url)
    local_server.start(tmp_path)
    assert not (tmp_path / ".runs").exists()
    profile_of_none = f"http://127.0.0.1:{closed_port()}/api"
    (tmp_path / "home" / "profiles.toml").unlink()
    (tmp_path / "home").rmdir()
    profile(tmp_path / "home", profile_of_none)
    with pytest.raises(PipelineError, match="does not answer"):
        local_server.start(tmp_path)


@pytest.mark.slow  # so that all others end within eight minutes
def test_a_server_that_does_not_start_is_an_error_while_waiting(
    monkeypatch, tmp_path: Path
) -> None:
    for key in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_UI_URL", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(key, "")  # put back to what it is now
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////dev/null/db")
    wait = local_server.start(tmp_path)
    with pytest.raises(PipelineError, match=r"^Prefect's server did not start; its log is .*\.log"):
        wait()


@pytest.mark.slow  # a server of its own
def test_a_failing_run_behind_a_proxy_reaches_its_own_server_and_exits_with_1(
    project: Path, empty_mlflow: Path
) -> None:
    shutil.copy(empty_mlflow, project)
    proxy = f"http://127.0.0.1:{closed_port()}"
    (project / "stage.py").write_text("edited")
    done = pipelines(
        project, "run", HTTP_PROXY=proxy, http_proxy=proxy, NO_PROXY="", no_proxy="",
    )  # fmt: skip
    assert done.returncode == 1
    said = "Uncommitted changes in stage.py: commit them, or run them as they are with --dirty"
    assert done.stderr.splitlines()[-1] == said
    assert "Traceback" not in done.stderr


def test_the_tables_of_its_database_are_made_once_an_environment(prefect_url) -> None:
    """The server of `prefect_url` has kept them, if not one before it."""
    kept = empty_tables.kept("prefect")
    assert kept.exists()
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("select count(*) from flow_run").fetchone() == (0,)


KILLED = """\
import os, sys, time
from pathlib import Path
import psutil
from pipelines.flows import local_server
from pipelines.names import OURS
local_server.start(Path("."))()
health = f"{os.environ['PREFECT_API_URL']}/health"
for process in psutil.Process().children(recursive=True):
    if local_server.UVICORN in process.cmdline():
        process.kill()
        process.wait()
assert not local_server.answers(health)
while not local_server.answers(health):
    time.sleep(0.1)
print(len(psutil.Process().children()))
"""


@pytest.mark.slow  # two servers of its own
def test_one_that_is_killed_is_started_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, env=clean_environment(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


def test_setup_wants_a_server_that_stays(monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^Deployments need a permanent Prefect server"):
        local_server.require()
    url = f"http://127.0.0.1:{closed_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(PipelineError, match=f"^Prefect's server at {url} does not answer"):
        local_server.require()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # a server of its own
def test_a_password_that_is_wrong_is_said_before_anything_runs(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "team:word")
    monkeypatch.setenv("PREFECT_UI_URL", "")
    local_server.start(tmp_path)()
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "team:word")
    local_server.require()
    for given, said in (("", "and got none"), ("a:b", "not the one in PREFECT_API_AUTH")):
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", given)
        with pytest.raises(PipelineError, match=f"requires a password, {said}"):
            local_server.require()


@pytest.mark.slow  # makes all tables of both databases
def test_an_install_makes_the_tables_for_the_first_project_too(tmp_path: Path) -> None:
    code = "import sys; sys.prefix = sys.argv[1]\n"
    code += "from pipelines.cli import first_tables; first_tables.main()"
    clean = clean_environment()
    subprocess.run([sys.executable, "-c", code, tmp_path], env=clean, check=True, timeout=300)
    names = {path.name.split("-")[0] for path in tmp_path.glob(f"share/{OURS}/*.db")}
    assert names == {"prefect", "mlflow"}
