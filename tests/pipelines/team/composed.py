"""The services of docker/compose.yaml as plain processes on loopback, with what it gives them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pipelines.flows import local_server
from pipelines.workspaces import process_group
from tests.pipelines.standin import ROOT, clean_environment, closed_port
from tests.pipelines.workspaces.test_process_group import wait_for

SERVICES = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
SERVED = {"store": 8333, "mlflow": 5000, "prefect": 4200}


@dataclass
class Composed:
    """Services by name; what a container would see is replaced by what there is here."""

    folder: Path
    project: Path
    database: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = {name: closed_port() for name in ("store", "mlflow", "prefect", "worker")}
        (self.folder / "prefect").mkdir()

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def secret(self, name: str) -> str:
        return (self.project / ".team" / "secrets" / name).read_text()

    def here(self, text: str) -> str:
        """As compose interpolates, and with places of this machine."""
        text = re.sub(r"(?<!\$)\$\{(\w+):?[-?]?([^}]*)\}", self._variable, text).replace("$$", "$")
        for there, place in {
            "mlflow:5000,localhost:5000,127.0.0.1:5000": f"127.0.0.1:{self.ports['mlflow']}",
            "/run/secrets": str(self.project / ".team" / "secrets"),
            "/etc/ner/mlflow-auth.ini": str(ROOT / "docker" / "mlflow-auth.ini"),
            "/var/lib/prefect": str(self.folder / "prefect"),
            "/tmp/prefect": str(self.folder / "home"),  # noqa: S108
            "0.0.0.0": "127.0.0.1",  # noqa: S104
            "python -m": f"{sys.executable} -m",
            "python docker/": f"{sys.executable} {ROOT}/docker/",
            "PYTHONPATH=.": f"PYTHONPATH={ROOT}",
            **{f"http://{name}:{SERVED[name]}": self.url(name) for name in SERVED},
        }.items():
            text = text.replace(there, place)
        return text

    def _variable(self, found: "re.Match[str]") -> str:
        return {"NER_PROJECT": str(self.project)}.get(found[1], found[2])

    def environment(self, service: str) -> dict[str, str]:
        given = {key: self.here(value) for key, value in SERVICES[service]["environment"].items()}
        port = {"mlflow": "MLFLOW_PORT", "prefect": "PREFECT_SERVER_API_PORT"}.get(
            service, "PREFECT_WORKER_WEBSERVER_PORT"
        )
        if port in given:
            given[port] = str(self.ports[service])
        database = self.database if "PGHOST" in given else {}
        return {**clean_environment(), "NO_PROXY": "*", **given, **database}

    @contextmanager
    def running(self, service: str, health: str) -> Iterator[None]:
        command = [self.here(word) for word in SERVICES[service]["command"]]
        env, at = self.environment(service), f"{self.url(service)}{health}"
        with (self.folder / f"{service}.log").open("a") as log:
            process = process_group.start(command, self.project, env, output=log)
        try:
            wait_for(lambda: local_server.answers(at), f"{service} answers", 180)
            yield
        finally:
            process.communicate()

    def once(self, service: str) -> str:
        """What it printed when it ended well."""
        command = [self.here(word) for word in SERVICES[service]["command"]]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment(service), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def store(self) -> Iterator[None]:
        """SeaweedFS, if its program `weed` is on the PATH; else moto's server."""
        weed, port = shutil.which("weed"), self.ports["store"]
        if weed:
            (self.folder / "store").mkdir(exist_ok=True)
            asked = [*SERVICES["store"]["entrypoint"][1:], *SERVICES["store"]["command"]]
            command = [weed, *(self.here(word) for word in asked)]
            command = [word.replace("=/data", f"={self.folder}/store") for word in command]
            command = [word.replace("s3.port=8333", f"s3.port={port}") for word in command]
            for name in ("master", "volume", "filer"):
                command += [f"-{name}.port={closed_port()}", f"-{name}.port.grpc={closed_port()}"]
            command += [f"-s3.port.grpc={closed_port()}"]
        else:
            command = [sys.executable, "-m", "moto.server", "-p", str(port)]
        with (self.folder / "store.log").open("a") as log:
            process = process_group.start(command, self.folder, clean_environment(), output=log)
        try:
            ask = "/healthz" if weed else "/moto-api/"
            wait_for(
                lambda: local_server.answers(self.url("store") + ask), "the store answers", 120
            )
            yield
        finally:
            process.communicate()


def make_secrets(project: Path) -> None:
    """Makes the passwords as `make up` does, below `project`."""
    subprocess.run(["docker/team", "secrets"], cwd=project, check=True)
