"""Whether what this container serves answers: the model, JupyterLab, sshd, or nothing at all."""

import socket
import sys
import urllib.request
from pathlib import Path

# With --init the server is a child of process 1, and its command line is in that one's too.
started = Path("/proc/1/cmdline").read_text("utf-8").split("\0")
if "serve" in started:
    port = started[started.index("--port") + 1] if "--port" in started else "5001"
    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
elif "notebook" in started:
    urllib.request.urlopen("http://127.0.0.1:8888/api", timeout=5).close()
elif "ssh" in started:
    with socket.create_connection(("127.0.0.1", 2222), timeout=5) as connection:
        sys.exit(not connection.recv(16).startswith(b"SSH-2.0"))
