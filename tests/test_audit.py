"""`make audit`, on a source of advisories on loopback: clean, found, and not asked."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.clone import clone, commit

pytestmark = pytest.mark.slow  # its tools come from the package index
CANARY = ("jinja2", "2.10.1")
WEAK = {
    "id": "GHSA-0000",
    "details": "It is weak.",
    "affected": [],
    "published": "2020-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(tmp_path_factory.mktemp("audit") / "clone")
    for lock in (folder / "docker").glob("requirements*.lock"):
        if lock.name != "requirements-build.lock":
            lock.unlink()
    commit(folder, "add", "--all")
    return folder


@pytest.fixture
def advisories() -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """An OSV server: its address, and the packages that are weak."""
    weak: set[tuple[str, str]] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            package = (asked["package"]["name"], asked["version"])
            body = json.dumps({"vulns": [WEAK]} if package in weak else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query", weak
    server.shutdown()
    server.server_close()
    thread.join()


def audit(folder: Path, url: str) -> tuple[int, str]:
    env = {**os.environ, "VENV": str(Path(sys.executable).parents[1]), "NO_PROXY": "127.0.0.1"}
    env |= {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url}
    done = subprocess.run(
        ["bin/audit"], cwd=folder, env=env, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_this_repository_is_clean(checkout: Path, advisories) -> None:
    url, weak = advisories
    weak.add(CANARY)
    code, said = audit(checkout, url)
    assert code == 0, said
    assert "audit: known weaknesses of docker/requirements-build.lock: none" in said


def test_what_could_not_be_asked_is_not_called_clean(checkout: Path, advisories) -> None:
    url, _ = advisories
    for source in (url, url.replace("/v1/query", "").rpartition(":")[0] + ":9/"):
        code, said = audit(checkout, source)
        assert (code, "audit: known weaknesses: NOT LOOKED FOR." in said) == (3, True), said


def test_each_tool_finds_what_is_planted(checkout: Path, advisories, tmp_path: Path) -> None:
    url, weak = advisories
    folder = shutil.copytree(checkout, tmp_path / "clone", symlinks=True)
    lock = (folder / "docker" / "requirements-build.lock").read_text()
    name, version = lock.partition(" ")[0].split("==")
    weak |= {CANARY, (name, version)}
    (folder / "stages" / "planted.py").write_text("import torch\ntorch.load('x')\n")
    key = "AKIA" + "IOSFODNN7" + "ABCDEFG"
    (folder / "docs" / "planted.md").write_text(f"aws_access_key_id = {key}\n")
    commit(folder, "add", "--all")
    code, said = audit(folder, url)
    assert code == 1
    for found in ("stages/planted.py:2", "docs/planted.md:1", "GHSA-0000"):
        assert found in said, said
    assert said.count("see above") == 3
