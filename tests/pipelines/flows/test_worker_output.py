"""The process that copies a deployed run's output, and reports it if it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow
from prefect.states import Completed, Running

from pipelines.flows import worker_output
from tests.pipelines.standin import ROOT, clean_environment

# What a deployed flow does, without Prefect: its output goes on when nobody reads it any more.
FLOW = """\
import sys, time
from pipelines.flows import worker_output
print("before", flush=True)
worker_output.flow_run = type("Run", (), {"get_id": staticmethod(lambda: sys.argv[1])})
worker_output.detach()
print("out", flush=True)
print("err", file=sys.stderr, flush=True)
for line in iter(sys.stdin.readline, ""):
    print(line, end="", flush=True)
print("done", file=open("done", "w"))
"""


def start(folder: Path, prefect_url: str, run_id: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", FLOW, run_id],
        cwd=folder,
        env=clean_environment() | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": prefect_url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@flow
def some_flow() -> None:
    pass


@pytest.mark.parametrize("end", ["killed", "completed"])
def test_output_is_copied_and_a_run_that_was_killed_is_reported(
    prefect_url: str, tmp_path: Path, end: str
) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(prefect_url) as client:
        run = client.create_flow_run(some_flow, state=Running())
        process = start(tmp_path, prefect_url, str(run.id))
        assert [process.stdout.readline() for _ in range(3)] == ["before\n", "out\n", "err\n"]
        if end == "killed":
            process.kill()
        else:
            client.set_flow_run_state(run.id, Completed())
            process.stdin.write("北京\n")
            process.stdin.close()
        rest = process.stdout.read()  # until the one that copies has ended too
        process.wait()
        state = client.read_flow_run(run.id).state
    if end == "killed":
        assert (rest, state.type.value, state.message) == ("", "CRASHED", worker_output.KILLED)
    else:
        assert (rest, state.type.value) == ("北京\n", "COMPLETED")


def test_output_goes_on_without_a_reader(prefect_url: str, tmp_path: Path) -> None:
    process = start(tmp_path, prefect_url, "none")
    assert process.stdout.readline() == "before\n"
    process.stdout.close()  # the worker dies
    process.stdin.write("line\n" * 99)
    process.stdin.close()
    assert process.wait() == 0
    assert (tmp_path / "done").read_text() == "done\n"


def test_a_terminal_or_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-c", FLOW, "none"],
            cwd=tmp_path, env=clean_environment() | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n"
