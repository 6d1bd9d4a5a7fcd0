"""A server of the model as a process, `pipelines serve` or MLflow's own, and requests to it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil

from pipelines.names import MODEL
from tests.pipelines.standin import clean_environment, closed_port
from tests.pipelines.workspaces.test_process_group import gone, wait_for

CHAMPION = f"models:/{MODEL}@champion"
PIPELINES = [sys.executable, "-m", "pipelines", "serve"]
# Of a request of texts, as MLflow knows them.
FORMS = [
    lambda texts: {"inputs": texts},
    lambda texts: {"instances": texts},
    lambda texts: {"instances": [{"text": text} for text in texts]},
    lambda texts: {"dataframe_records": [{"text": text} for text in texts]},
    lambda texts: {"dataframe_split": {"columns": ["text"], "data": [[t] for t in texts]}},
]


def mlflow(model: str = MODEL) -> list[str]:
    """The command of MLflow's own server."""
    serve = ["mlflow", "models", "serve", "--env-manager", "local"]
    return [sys.executable, "-m", *serve, "-m", f"models:/{model}@champion"]


class Server:
    def __init__(
        self,
        project: Path,
        log: Path,
        *options: str,
        command: list[str] = PIPELINES,
        port: int | None = None,
        **env: str,
    ) -> None:
        port = port or closed_port()
        self.url, self.log, self.port = f"http://127.0.0.1:{port}", log, port
        self.headers: dict[str, str] = {}
        env = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"} | env
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), *options],
                cwd=project, env=env, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return urlopen(f"{self.url}/health").status == 200
        except URLError:
            return False

    def ready(self) -> "Server":
        wait_for(self.answers, "the model is served", 120)
        return self

    def post(self, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers | {"Content-Type": content_type}
        request = Request(f"{self.url}/invocations", data, headers)
        try:
            with urlopen(request) as response:
                return response.status, json.load(response)["predictions"]
        except HTTPError as error:
            return error.code, error.read().decode()

    def rows(self, body: Any) -> list[dict[str, Any]]:
        status, rows = self.post(body)
        assert status == 200, rows
        return rows

    def get(self, path: str) -> str:
        with urlopen(Request(f"{self.url}{path}", headers=self.headers)) as response:
            return response.read().decode()

    def version(self) -> str:
        """The version that answers."""
        with urlopen(Request(f"{self.url}/version", headers=self.headers)) as response:
            return response.headers["X-Model-Version"]

    def metric(self, name: str) -> float:
        """The value of a metric, named with its labels as Prometheus writes them; 0: none."""
        lines = (line.rpartition(" ") for line in self.get("/metrics").splitlines())
        return next((float(value) for found, _, value in lines if found == name), 0.0)

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log that are whole."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def stop(self, way: signal.Signals = signal.SIGTERM) -> int:
        """Ends it, with all that it started; returns its exit code."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(way)
        code = self.process.wait(60)
        for left in below:
            wait_for(lambda left=left: gone(left.pid), f"{left} ends", 30)
        return code
