"""Two ranks come to what one process comes to; one that dies ends both, with one error."""

import json
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.stage_process import start, until_made
from tests.stages.train.conftest import same


@pytest.mark.parametrize("head", ["linear", pytest.param("crf", marks=pytest.mark.slow)])
def test_two_ranks_come_to_the_weights_of_one_process(workspaces, forks):
    alone, together = workspaces
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    runs = [forks.start("train", alone)]
    for rank in ("0", "1"):
        runs.append(forks.start("train", together, **env, RANK=rank, LOCAL_RANK=rank))
    for run in runs:
        assert run.wait() == 0, run.printed
    same(alone, together)
    said = [line for run in runs for line in run.printed.splitlines()]
    assert len(said) == len({*said}) * 2 == 4  # the evaluations of each, said once
    measured = [json.loads((f / ".measured/train.json").read_text()) for f in workspaces]
    assert [figures["ranks"] for figures in measured] == [1, 2]


@pytest.fixture
def torchruns_port_taken():
    """As by another training on this host."""
    with socket.socket() as taken:
        with suppress(OSError):  # it is taken then
            taken.bind(("", 29500))
            taken.listen()
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("torchruns_port_taken")
def test_a_killed_rank_ends_all_and_a_new_run_goes_on(workspaces):
    alone, together = workspaces
    with start("train", alone) as process:
        assert process.wait(120) == 0
    with start("train", together) as process:
        until_made(".checkpoints/*/00000003-*.pt", together, process, within_s=120)
        [second] = [pid for pid in ranks_of(process.pid) if environment(pid)["RANK"] == "1"]
        others = [process.pid, *ranks_of(process.pid)]
        os.kill(second, signal.SIGKILL)
        printed = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert [line for line in printed.splitlines() if not line.startswith("step ")] == [
        f"train: rank 1 ended, and all others with it: Signal 9 (SIGKILL) received by PID {second}"
    ]
    assert not [pid for pid in others if Path(f"/proc/{pid}").exists()]
    assert not list(together.glob("models/*"))

    goes_on(together)
    same(alone, together)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ranks_end_with_the_one_that_started_them(workspaces, how):
    _, together = workspaces
    params = together / "params.yaml"  # more than is done in the half second until they notice
    params.write_text(params.read_text().replace("  epochs: 2\n", "  epochs: 10\n"))
    with start("train", together) as process:
        deadline = time.monotonic() + 120
        until_made(".checkpoints/*/*.pt", together, process, within_s=120)
        ranks = ranks_of(process.pid)
        assert len(ranks) == 2
        process.send_signal(how)
        printed = process.communicate(timeout=60)[1]
        while [pid for pid in ranks if Path(f"/proc/{pid}").exists()]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGKILL: -9}[how]
    assert [line for line in printed.splitlines() if not line.startswith("step ")] == []
    # Killed, the end may come after the new one is there and before the old one is deleted.
    left = len([*together.glob(".checkpoints/*/*.pt")])
    assert left == 1 or (how == signal.SIGKILL and left == 2)
    goes_on(together)
    assert not list(together.glob(".checkpoints/*/*.pt"))


def goes_on(folder: Path) -> None:
    with start("train", folder) as process:
        printed = process.communicate(timeout=120)[1]
    assert process.returncode == 0, printed
    assert printed.startswith("resuming after step ")


def ranks_of(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs)
