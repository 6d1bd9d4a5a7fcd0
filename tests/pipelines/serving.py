"""`mlflow models serve` as a process, and requests to it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pipelines.names import MODEL
from tests.pipelines.standin import clean_environment, closed_port

CHAMPION = f"models:/{MODEL}@champion"


class Server:
    def __init__(self, project: Path, log: Path, model: str = MODEL, **env: str) -> None:
        port = closed_port()
        self.url, self.log = f"http://127.0.0.1:{port}", log
        env = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"} | env
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
                 "-m", f"models:/{model}@champion", "--port", str(port)],
                cwd=project, env=env, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return urlopen(f"{self.url}/health").status == 200
        except URLError:
            return False

    def post(self, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(f"{self.url}/invocations", data, {"Content-Type": content_type})
        try:
            with urlopen(request) as response:
                return response.status, json.load(response)["predictions"]
        except HTTPError as error:
            return error.code, error.read().decode()

    def rows(self, body: Any) -> list[dict[str, Any]]:
        status, rows = self.post(body)
        assert status == 200, rows
        return rows
