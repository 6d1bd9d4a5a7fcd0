"""PostgreSQL and an MLflow server with users on it, as processes on loopback."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.flows import local_server
from pipelines.workspaces import process_group
from tests.pipelines.standin import ROOT, clean_environment, closed_port
from tests.pipelines.workspaces.test_process_group import wait_for

# Debian keeps the server's programs off the PATH.
BINARIES = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
PATH = os.pathsep.join([os.environ["PATH"], *BINARIES])
ADMIN = ("admin", "admin-password")
needs_postgres = pytest.mark.skipif(
    not all(shutil.which(name, path=PATH) for name in ("initdb", "postgres", "pg_dump")),
    reason="needs PostgreSQL: apt-get install postgresql",
)


@contextmanager
def postgres(folder: Path, password: str) -> Iterator[dict[str, str]]:
    """An empty server; gives the variables by which libpq, so each client, finds it."""
    # Not below `folder`, which the user that root becomes for it could not enter.
    data = Path(tempfile.mkdtemp(prefix="postgres-"))
    secret = data / "password"
    secret.write_text(password)
    passfile = folder / "pgpass"
    passfile.write_text(f"*:*:*:*:{password}")
    passfile.chmod(0o600)
    env = {**clean_environment(), "PATH": PATH}
    become: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        become = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
        for path in (data, secret):
            shutil.chown(path, "nobody", "nogroup")
    made = ["initdb", "--no-sync", "--username", "ner", "--auth", "scram-sha-256"]
    made += ["--pgdata", str(data / "db"), "--pwfile", str(secret)]
    subprocess.run([*become, *made], cwd=data, env=env, check=True, capture_output=True)
    port = closed_port()
    command = ["postgres", "-D", str(data / "db"), "-p", str(port), "-k", str(data)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with (folder / "postgres.log").open("a") as log:
        process = process_group.start([*become, *command], data, env, output=log)
    here = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "ner"}
    here |= {"PGPASSFILE": str(passfile), "PATH": PATH}
    ask = ["psql", "--dbname", "postgres", "--command", "select 1"]
    try:
        wait_for(lambda: _works(ask, {**env, **here}), "PostgreSQL answers", 60)
        yield here
    finally:
        process.communicate()
        shutil.rmtree(data)


def _works(command: list[str], env: dict[str, str]) -> bool:
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@contextmanager
def mlflow(folder: Path, database: dict[str, str], artifacts: Path) -> Iterator[str]:
    """An MLflow server on the databases `mlflow` and `mlflow_auth`; gives its address."""
    port = closed_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
    command += ["--allowed-hosts", f"127.0.0.1:{port}"]
    command += ["--serve-artifacts", "--artifacts-destination", str(artifacts)]
    command += ["--backend-store-uri", "postgresql:///mlflow"]
    env = {**clean_environment(), **local_server.QUIET, **database}
    env |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(ROOT / "docker" / "mlflow-auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0],
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",  # pragma: allowlist secret
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with (folder / "mlflow.log").open("a") as log:
        process = process_group.start(command, folder, env, output=log)
    try:
        wait_for(lambda: local_server.answers(f"{url}/health"), "MLflow's server answers", 120)
        yield url
    finally:
        process.communicate()


def create(database: dict[str, str]) -> None:
    """Makes the databases, empty, as the container does."""
    command = ["psql", "--quiet", "--dbname", "postgres", "--file", "docker/databases.sql"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **database}, check=True)


def documented(heading: str, folder: Path, database: dict[str, str] | None = None) -> None:
    """Runs in `folder` the first block of commands below the heading in docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    below = text.split(f"\n### {heading}\n")[1].splitlines()
    start = next(n for n, line in enumerate(below) if line.startswith("    "))
    block = "\n".join(below[start : below.index("", start)])
    env = {**clean_environment(), **(database or {})}
    subprocess.run(["sh", "-euc", block], cwd=folder, env=env, check=True)
