"""Lets a deployed run outlive its worker, and reports its end if its process is killed.

`python -m pipelines.flows.worker_output PID RUN_ID` copies what it finds in stdin, a file that
grows, to stdout until process PID ends.
"""

import os
import select
import stat
import subprocess
import sys
import tempfile
from uuid import UUID

from prefect.runtime import flow_run

CHUNK_BYTES = 2**16
LOOK_MS = 500
KILLED = (
    "The run's process was killed: by its worker, when that was stopped, or by somebody else."
    " Finished stages are cached: run it again"
)


def detach() -> None:
    """Sends the output of this process to a file, which another process copies to where it went.

    It went into a pipe of the worker. After the worker's death the next line would raise
    BrokenPipeError, which rich answers with SystemExit. The file has no name, so it needs no
    clean-up; Prefect's server gets the log lines by another way.
    """
    if sys.platform != "linux" or not stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        follow = [sys.executable, "-m", __name__, str(os.getpid()), str(flow_run.get_id())]
        subprocess.Popen(follow, stdin=file, start_new_session=True)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _follow(pid: int) -> None:
    """Copies stdin to stdout until the process ends, or as long as somebody reads it."""
    ended = select.poll()
    ended.register(os.pidfd_open(pid), select.POLLIN)
    position, read = 0, True
    while True:
        last = bool(ended.poll(LOOK_MS))
        # Not `read`: stdin shares its position with the one who writes.
        while chunk := os.pread(0, CHUNK_BYTES, position):
            position += len(chunk)
            try:
                read = read and bool(os.write(1, chunk))
            except BrokenPipeError:
                read = False
        if last:
            return


def _report(run_id: UUID) -> None:
    """Marks the flow run as crashed, unless it has ended."""
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
        if state is None or not state.is_final():
            client.set_flow_run_state(run_id, Crashed(message=KILLED), force=True)


if __name__ == "__main__":
    _follow(int(sys.argv[1]))
    _report(UUID(sys.argv[2]))
