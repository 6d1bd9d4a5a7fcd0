"""GPUs, two of them by NCCL: the same bytes twice, and once more where one was killed meanwhile."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.stage_process import files, start, until_made
from tests.stages.train.test_train_ranks import environment, ranks_of
from tests.tiny import write_params

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(400)]

on_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="takes two GPUs")


@pytest.fixture(params=[1, pytest.param(2, marks=on_two)])
def gpus(request):
    return request.param


@pytest.fixture
def workspace(tiny, tmp_path, gpus):
    """Of a training with dropout, 40 steps of four batches, two a rank where there are two."""

    def made(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_params(
            folder,
            device="cuda",
            gpus=gpus,
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


def trained(process: "subprocess.Popen[str]") -> str:
    printed = process.communicate(timeout=240)[1]
    assert process.returncode == 0, printed
    return printed


def test_the_same_files_twice_and_where_it_was_killed_meanwhile(workspace, gpus):
    once, again, killed = map(workspace, ("once", "again", "killed"))
    # At once, which takes a third of the time, and as other trainings on the host would.
    with start("train", once) as one, start("train", again) as two, start("train", killed) as third:
        until_made(".checkpoints/*/0000001?-*.pt", killed, third, within_s=240)
        victim, ranks = third.pid, []
        if gpus > 1:
            ranks = ranks_of(third.pid)
            [victim] = [pid for pid in ranks if environment(pid).get("RANK") == "1"]
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        printed = third.communicate(timeout=120)[1]
        print(f"ended {time.monotonic() - began:.1f} s after the kill")
        trained(one)
        trained(two)
    assert outs(once)
    assert outs(again) == outs(once)

    said = [line for line in printed.splitlines() if line.startswith("train: ")]
    if gpus > 1:
        assert third.returncode == 1
        why = f"Signal 9 (SIGKILL) received by PID {victim}"
        assert said == [f"train: rank 1 ended, and all others with it: {why}"], printed
    else:
        assert third.returncode == -signal.SIGKILL
        assert said == []
    assert not [pid for pid in [third.pid, *ranks] if Path(f"/proc/{pid}").exists()]
    assert not outs(killed)

    with start("train", killed) as process:
        assert "resuming after step 1" in trained(process)
    assert outs(killed) == outs(once)
