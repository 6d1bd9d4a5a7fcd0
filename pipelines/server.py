"""Prefect's API for a run on one's own machine, ended with the run however that ends."""

import atexit
import os
import socket
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

from pipelines import supervise
from pipelines.errors import PipelineError

START_S = 120.0
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def start(project: Path) -> None:
    """Sets PREFECT_API_URL, for Prefect to read when it is imported after this.

    If the environment or the Prefect profile names a server, that one stands. Else a server is
    started with its database in `.runs/prefect`. Prefect's own temporary server would outlive a
    killed run and be hit by a Ctrl-C before the run has reported its end.

    Raises:
        PipelineError: if the server does not start.
    """
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    if _is_configured():
        return
    home = (project / ".runs" / "prefect").resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    # As Prefect starts its temporary server: without scheduler and UI, with what records runs.
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    with (home / "server.log").open("w", encoding="utf-8") as log:
        env = {**os.environ, "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_UI_ENABLED": "0"}
        process = supervise.start(command, home, env, output=log)
    # Registered before Prefect is imported, so that it runs after Prefect has sent its last events.
    atexit.register(process.communicate)
    deadline = time.monotonic() + START_S
    while not answers(f"{url}/health"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise PipelineError(
                f"Prefect's server did not start; its log is {home / 'server.log'}: mend that, or"
                " set PREFECT_API_URL to a server that runs"
            )
        time.sleep(0.1)
    os.environ["PREFECT_API_URL"] = url
    os.environ["PREFECT_UI_URL"] = ""  # or each run would print a link that leads nowhere


def answers(url: str) -> bool:
    """Whether an HTTP server answers there with 200; no proxy is asked."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _is_configured() -> bool:
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    name = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    return "PREFECT_API_URL" in profiles.get("profiles", {}).get(name, {})
