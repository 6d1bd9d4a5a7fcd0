"""A real Prefect server with prefect.yaml deployed, and its worker, on loopback, for a stand-in."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipelines.flows import local_server
from pipelines.workspaces import process_group
from tests.pipelines import standin
from tests.pipelines.workspaces.test_process_group import wait_for

T = TypeVar("T")
# Services look around each second instead of each minute.
QUICK = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
HOLD = """\
import os, sys, time
while sys.argv[1] == "train" and not os.path.exists(os.environ["NER_GO"]):
    time.sleep(0.05)
"""


@dataclass
class Deployed:
    """Where it all is; `go` is the file for which the stage `train` waits."""

    project: Path
    env: dict[str, str]
    go: Path
    server: "subprocess.Popen[str]"
    worker: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return self.env["PREFECT_API_URL"]

    def command(self, *arguments: str) -> str:
        """Runs `python -m ARGUMENTS` in the project; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.project, env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start_worker(self, *options: str) -> None:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "msra-ner"]
        command += options
        with (self.project.parent / "worker.log").open("a") as log:
            # No supervisor: it would end the runs that outlive the worker.
            self.worker = subprocess.Popen(
                command, cwd=self.project, env=self.env, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        if self.worker:
            self.worker.terminate()  # which ends its runs
            self.worker.wait()
        self.server.communicate()


def deploy(folder: Path, mlflow_db: Path) -> Deployed:
    """As docs/operations.md says, by the same commands; `start_worker` is the next of them."""
    project = standin.project(folder / "project")
    shutil.copy(standin.ROOT / "prefect.yaml", project)
    shutil.copy(mlflow_db, project)
    (project / "stage.py").write_text(HOLD + standin.STAGE_PY)
    standin.commit(project)
    port, go = standin.closed_port(), folder / "go"
    url = f"http://127.0.0.1:{port}/api"
    env = {**standin.clean_environment(), **local_server.QUIET, **QUICK, "NER_GO": str(go)}
    env |= {"PREFECT_API_URL": url, "PREFECT_HOME": str(folder / "prefect"), "NO_PROXY": "*"}
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    (folder / "prefect").mkdir()
    with (folder / "server.log").open("w") as log:
        made = Deployed(project, env, go, process_group.start(command, folder, env, output=log))
    try:
        wait_for(
            lambda: time.sleep(0.2) or local_server.answers(f"{url}/health"), "the server", 120
        )
        made.command("pipelines", "setup", "--heartbeat-s", "30")
        made.command("prefect", "--no-prompt", "deploy", "--all")
    except BaseException:
        made.stop()
        raise
    return made


def until(ask: Callable[[], T], good: Callable[[T], object], deadline_s: float = 120) -> T:
    """What `ask` gives once it is `good`; asks thrice a second."""
    deadline = time.monotonic() + deadline_s
    while not good(found := ask()):
        assert time.monotonic() < deadline, f"not within {deadline_s} s; last: {found}"
        time.sleep(0.3)
    return found
