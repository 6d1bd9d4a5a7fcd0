"""Lets a deployed run outlive the worker that started it."""

import os
import stat
import subprocess
import sys
import tempfile


def detach() -> None:
    """Sends the output of this process to a file, which `tail` copies to where it went before.

    It went into a pipe of the worker. After the worker's death the next line would raise
    BrokenPipeError, which rich answers with SystemExit. The file has no name, so it needs no
    clean-up; Prefect's server gets the log lines by another way.
    """
    if sys.platform != "linux" or not stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this process lives
    number = file.fileno()
    follow = ["tail", "--bytes=+1", "--follow", f"--pid={os.getpid()}", f"/dev/fd/{number}"]
    subprocess.Popen(follow, pass_fds=[number], start_new_session=True, stderr=subprocess.DEVNULL)
    os.dup2(number, 1)
    os.dup2(number, 2)
