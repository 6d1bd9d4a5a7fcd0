"""Two GPUs by NCCL: the same bytes twice, and once more where a rank was killed meanwhile."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.stage_process import files, start
from tests.stages.test_train_ranks import environment, ranks_of
from tests.tiny import write_params

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="takes two GPUs"),
    pytest.mark.timeout(400),
]


@pytest.fixture
def workspace(tiny, tmp_path):
    """Of a training on two GPUs with dropout, 40 steps of two batches a rank."""

    def made(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_params(
            folder,
            device="cuda",
            gpus=2,
            compile=True,
            deterministic=True,
            epochs=8,
            evals_per_epoch=1,
            checkpoint_minutes=1e-9,
        )
        shutil.copytree(tiny.aligned, folder / "data/aligned")
        shutil.copytree(tiny.encoder, folder / "data/encoder")
        return folder

    return made


def outs(folder: Path) -> dict[str, bytes]:
    return files(folder / "models") | files(folder / "reports")


def trained(folder: Path) -> str:
    with start("train", folder) as process:
        printed = process.communicate(timeout=180)[1]
    assert process.returncode == 0, printed
    return printed


def test_two_gpus_give_the_same_files_twice_and_a_killed_rank_ends_both(workspace):
    once, again, killed = map(workspace, ("once", "again", "killed"))
    trained(once)
    assert outs(once)
    trained(again)
    assert outs(again) == outs(once)

    with start("train", killed) as process:
        deadline = time.monotonic() + 180
        while not list(killed.glob(".checkpoints/*/0000001?-*.pt")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.001)
        [second] = [pid for pid in ranks_of(process.pid) if environment(pid).get("RANK") == "1"]
        both = ranks_of(process.pid)
        os.kill(second, signal.SIGKILL)
        began = time.monotonic()
        printed = process.communicate(timeout=120)[1]
        print(f"ended {time.monotonic() - began:.1f} s after the kill")
    assert process.returncode == 1
    said = [line for line in printed.splitlines() if line.startswith("train: ")]
    assert said == [
        f"train: rank 1 ended, and all others with it: Signal 9 (SIGKILL) received by PID {second}"
    ], printed
    assert not [pid for pid in both if Path(f"/proc/{pid}").exists()]
    assert not outs(killed)

    assert "goes on after step 1" in trained(killed)
    assert outs(killed) == outs(once)
