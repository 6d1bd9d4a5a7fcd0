"""`python -m pipelines` in forks of a process that has imported all of it: seconds less each time.

Apart from the imports a fork is what the command is: its own folder, environment, output and end.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.pipelines.standin import ROOT, clean_environment


class Forks:
    """Runs one command at a time, against the Prefect server of `prefect_url`."""

    def __init__(self, prefect_url: str, home: Path) -> None:
        env = clean_environment() | {"PREFECT_API_URL": prefect_url, "PREFECT_HOME": str(home)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forked"], cwd=ROOT, env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, project: Path, log: Path, *arguments: str, **env: str) -> int:
        """Starts the command in `project`, its output appended to `log`; returns its process id."""
        asked = {"project": str(project), "log": str(log), "arguments": arguments, "env": env}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def wait(self) -> int:
        """The exit code of what was started; -N where signal N ended it."""
        return self._answer()

    def stop(self) -> None:
        self.process.communicate()

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def serve() -> None:
    """Forks as asked on standard input: prints a fork's process id, then its exit code."""
    import mlflow.pyfunc  # noqa: F401

    import pipelines.cli.run_summary  # noqa: F401
    from pipelines.cli.app import main

    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(asked["project"])
            os.environ.update(asked["env"])
            sys.exit(main(asked["arguments"]))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
