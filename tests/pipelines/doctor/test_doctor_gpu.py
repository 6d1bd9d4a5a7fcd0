"""`python -m pipelines doctor` on a machine with an NVIDIA GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.pipelines.standin import ROOT, pipelines

pytestmark = pytest.mark.gpu
HOLD = "import torch; held = torch.ones(2**28, device='cuda'); print('held', flush=True); input()"


def lines(**env: str) -> dict[str, dict[str, str]]:
    done = pipelines(ROOT, "doctor", "--json", **env)
    assert done.stderr == ""
    return {line["check"]: line for line in json.loads(done.stdout)["checks"]}


def test_each_gpu_computes_by_torch_and_by_onnx_runtime() -> None:
    found = lines()
    gpus = range(torch.cuda.device_count())  # CUDA_VISIBLE_DEVICES may hide some of the driver's
    assert gpus
    for name in ("driver", "torch", "onnxruntime", *(f"matmul on GPU {n}" for n in gpus)):
        assert found[name]["level"] == "ok", found[name]
    assert all("compute capability" in found[f"GPU {n}"]["said"] for n in gpus)
    session = found["ONNX session"]
    assert (session["level"], session["said"]) == ("ok", "CUDAExecutionProvider, correct product")


def test_another_process_on_a_gpu_is_a_warning_that_names_it() -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        found = lines()["GPU 0"]
        other.communicate("\n")
    assert found["level"] == "warning"
    assert str(other.pid) in found["said"]
    assert Path(sys.executable).name[:6] in found["said"]


def test_gpus_that_torch_may_not_use() -> None:
    found = lines(CUDA_VISIBLE_DEVICES="")
    assert found["driver"]["level"] == "ok"
    assert found["torch on CUDA"]["level"] == "error"
    assert "CUDA_VISIBLE_DEVICES" in found["torch on CUDA"]["do"]
