"""Starts a Prefect server for a run on one machine; it ends with the run, however that ends."""

import atexit
import base64
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.flows.prefect_settings import setting
from pipelines.workspaces import empty_tables, places, process_group
from stages.fetching.client import network_problem

START_S = 120.0
RESTARTS = 3
DATABASE = "prefect.db"
CONNECTION = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
NO_PROXY = ("no_proxy", "NO_PROXY")  # some libraries read one alone, others the first
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Otherwise Prefect logs a thousand characters for each event that a server does not accept.
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}
# A run has no automations, and needs no list of the kinds of blocks: both take a CPU second.
UNLESS_SET = {
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}
# As `python -m uvicorn`; its imports make many objects and no garbage.
UVICORN = "import gc; gc.set_threshold(100_000); from uvicorn import main; main()"


def start(project: Path) -> Callable[[], None]:
    """Sets PREFECT_API_URL, which Prefect reads when it is imported afterwards.

    A server that Prefect's settings name is used. Otherwise one is started with its database in
    `.runs/prefect`: Prefect's own temporary server would outlive a killed run, and a Ctrl-C would
    end it before the run has reported its end.

    Returns:
        A function that waits until the server answers, which takes as long as importing Prefect.

    Raises:
        PipelineError: if the named server does not answer; while waiting, if one does not start.
    """
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    _check_network()
    if named := configured():
        ask(named, ", or unset PREFECT_API_URL to run without one")
        return lambda: None
    reach_loopback_directly()
    home = (project / ".runs" / "prefect").resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    # As Prefect starts its temporary server: it records runs, but has no scheduler and no UI.
    command = [sys.executable, "-c", UVICORN, "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    env = {**UNLESS_SET, **os.environ, "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_UI_ENABLED": "0"}
    if "?" in str(home):  # which Prefect does not escape
        env[CONNECTION] = places.sqlite(home / DATABASE, "aiosqlite")
    server = _Server(command, home, env, f"{url}/admin/version")  # what Prefect's client asks first
    # Registered before Prefect is imported, so it runs after Prefect has sent its last events.
    atexit.register(server.end)
    os.environ["PREFECT_API_URL"] = url
    os.environ["PREFECT_UI_URL"] = ""  # otherwise each run prints a link that leads nowhere
    return server.wait


class _Server:
    """A server of this process, which is started again if it ends before this process does."""

    def __init__(self, command: list[str], home: Path, env: dict[str, str], address: str) -> None:
        self.command, self.home, self.env, self.address = command, home, env, address
        self.ending = False
        # Held while the first server of a project makes its tables: two at once would fail.
        self.lock = (home / "start.lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.new = not (home / DATABASE).exists()
        if self.new:
            empty_tables.copy(home / DATABASE, "prefect", home)
        else:
            self.lock.close()
        self.process, self.up = self.start("w"), False
        # At once, not in `wait`: for its first answer the server takes half a second.
        self.asking = threading.Thread(target=self.ask, daemon=True)
        self.asking.start()

    def start(self, mode: str) -> "subprocess.Popen[str]":
        with (self.home / "server.log").open(mode, encoding="utf-8") as log:
            return process_group.start(self.command, self.home, self.env, output=log)

    def ask(self) -> None:
        """Asks until the server answers, has ended or has had its time."""
        deadline = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if answers(self.address):
                self.up = True
                return
            time.sleep(0.1)

    def wait(self) -> None:
        """Returns when the server answers; raises a PipelineError if it does not start."""
        self.asking.join()
        if not self.up:
            raise PipelineError(
                f"Prefect's server did not start; its log is {self.home / 'server.log'}: remove the"
                " cause that it names, or set PREFECT_API_URL to a running server"
            )
        if self.new:
            empty_tables.keep(self.home / DATABASE, "prefect")
            self.lock.close()
        threading.Thread(target=self.keep, daemon=True, name="prefect-server").start()

    def keep(self) -> None:
        """Starts it again, on the same port and database: Prefect's client waits for a minute."""
        for _ in range(RESTARTS):
            self.process.wait()
            if self.ending:
                return
            self.process = self.start("a")

    def end(self) -> None:
        self.ending = True
        self.process.communicate()


def require() -> None:
    """Raises a PipelineError unless Prefect's settings name a live server."""
    _check_network()
    named = configured()
    if not named:
        raise PipelineError(
            "Deployments need a permanent Prefect server: start one with `prefect server start`"
            " and set PREFECT_API_URL (docs/operations.md)"
        )
    ask(named, "")


def reach_loopback_directly() -> None:
    """Adds loopback to the addresses without a proxy, of either spelling, and keeps the user's."""
    hosts = [host for key in NO_PROXY for host in os.environ.get(key, "").split(",") if host]
    # Between others, urllib and requests would not know "*", which is all.
    direct = "*" if "*" in hosts else ",".join(dict.fromkeys([*hosts, "127.0.0.1"]))
    os.environ.update(dict.fromkeys(NO_PROXY, direct))


def configured() -> str | None:
    """The server that Prefect's settings name; None if they name none."""
    return setting("PREFECT_API_URL")


def answers(url: str) -> bool:
    """Whether a server answers there, even if only to require a login."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (urllib.error.URLError, OSError, ValueError, HTTPException):
        return False  # the last for an address with a password, which it would repeat


def ask(url: str, otherwise: str) -> None:
    """Raises a PipelineError that ends with `otherwise` unless the server answers and allows us."""
    if not answers(f"{url}/health"):  # an address that needs no password
        raise PipelineError(f"Prefect's server at {url} does not answer: start it{otherwise}")
    password = setting("PREFECT_API_AUTH_STRING") or ""
    login = {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"}
    request = urllib.request.Request(f"{url}/admin/version", headers=login if password else {})  # noqa: S310
    try:
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 401:
            wrong = "not the one in PREFECT_API_AUTH_STRING" if password else "and got none"
            raise PipelineError(
                f"Prefect's server at {url} requires a password, {wrong}: set"
                " PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING"
            ) from None
    except OSError:
        return  # it did answer


def _check_network() -> None:
    """Prefect's client reads these variables whatever the server's address."""
    if problem := network_problem():
        raise PipelineError(f"Prefect's server cannot be asked: {problem}")
