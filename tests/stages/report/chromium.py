"""A headless Chromium, by its own protocol: https://chromedevtools.github.io/devtools-protocol."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
]
KEYS = {"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40}


class Tab:
    """One page; `events` are all that it told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.last = 0

    def call(self, method: str, **params: Any) -> Any:
        """Its answer to a command."""
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.recv(timeout=60))
            if said.get("id") == self.last:
                assert "error" not in said, said
                return said["result"]
            self.events.append(said)

    def value(self, script: str) -> Any:
        """What an expression of JavaScript is there."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, pressed and released."""
        for kind in ("keyDown", "keyUp"):
            code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, **code, **text)

    def open(self, path: Path, width: int, dark: bool) -> None:
        """Loads a file, with all that the page does at its start done."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + 60
        while self.value("document.readyState + location.href") != f"complete{path.as_uri()}":
            assert time.monotonic() < deadline
            time.sleep(0.05)


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """A tab of a new one that keeps its files in `folder`."""
    program = next(filter(None, map(shutil.which, NAMES)))
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [program, *OPTIONS, *sandbox, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with connect(_address(folder, process), max_size=None, proxy=None) as socket:
                browser = Tab(socket)
                target = browser.call("Target.createTarget", url="about:blank")["targetId"]
                host = socket.request.headers["Host"]  # type: ignore[union-attr]
            with connect(f"ws://{host}/devtools/page/{target}", max_size=None, proxy=None) as page:
                yield Tab(page)
        finally:
            process.terminate()


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    file = folder / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    while not file.is_file() or file.read_text().count("\n") < 1:
        assert process.poll() is None, "Chromium ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"
