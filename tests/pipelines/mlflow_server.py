"""A real MLflow server on loopback, which a test may end and start again."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.flows import local_server
from pipelines.workspaces import process_group
from tests.pipelines.standin import clean_environment, closed_port
from tests.pipelines.workspaces.test_process_group import wait_for


def prepare(folder: Path, empty: Path) -> str:
    """Makes the server's database in `folder` from the file `empty`; returns its future address."""
    folder.mkdir(exist_ok=True)
    shutil.copy(empty, folder / "server.db")
    return f"http://127.0.0.1:{closed_port()}"


@contextmanager
def serving(folder: Path, url: str, **variables: str) -> Iterator[int]:
    """Serves `folder` at `url` until this is left; yields the supervisor's process id."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    # Its job runners are three more processes that import MLflow, and nothing here needs them.
    env = clean_environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | variables
    with (folder / "log").open("a") as log:
        process = process_group.start(command, folder, env, output=log)
    try:
        wait_for(lambda: local_server.answers(f"{url}/health"), "MLflow's server answers", 90)
        yield process.pid
    finally:
        process.communicate()
