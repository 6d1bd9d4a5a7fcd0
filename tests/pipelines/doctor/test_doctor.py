"""`python -m pipelines doctor`: one answer, whatever is missing, broken or hanging."""

import json
import shutil
import socket
from pathlib import Path

import pytest

from pipelines.doctor import doctor
from pipelines.doctor.checks.finding import Level
from pipelines.doctor.checks.torch import driver_cuda
from tests.pipelines.standin import ROOT, closed_port, pipelines

CHECKED = {
    *("params.yaml", "driver", "torch", "onnxruntime", "ONNX session"),
    *("project", "disk", "/dev/shm", "image", "packages"),  # noqa: S108
    *("network", "dvc", "mlflow", "prefect"),
}
without_gpu = pytest.mark.skipif(driver_cuda() is not None, reason="there is an NVIDIA driver")
# A check's own process sees it first: it takes away what the image of the stages has not.
IMAGE_OF_THE_STAGES = """\
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("dvc", "mlflow", "prefect", "pynvml", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
CRASH = """\
import os, signal, sys
if sys.orig_argv[2:4] == ["pipelines.doctor.checks", "packages"]:
    print("the last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
"""


def customised(folder: Path, code: str) -> str:
    """A PYTHONPATH by which each Python process runs `code` first."""
    (folder / "sitecustomize.py").write_text(code)
    return f"{folder}:{ROOT}"


@without_gpu
def test_without_a_gpu_that_params_ask_for_it_is_an_error_and_the_rest_is_looked_at(
    project: Path, tmp_path: Path
) -> None:
    before = sorted(project.rglob("*"))
    python_path = customised(tmp_path, CRASH)
    # Bytecode is Python's own to write; what doctor writes is looked at below.
    env = {"PYTHONPATH": python_path, "PYTHONDONTWRITEBYTECODE": "1"}
    overlay = tmp_path / "gpu.yaml"
    overlay.write_text("train: {device: cuda}")
    command = ["doctor", "--json", "--params", str(overlay)]
    done = pipelines(project, *command, NER_IMAGE="sha256:7e57", **env)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["exit_code"], done.stderr) == (2, 2, "")
    lines = {line["check"]: line for line in answer["checks"]}
    assert lines.keys() == CHECKED
    errors = {name for name, line in lines.items() if line["level"] == "error"}
    assert errors == {"driver", "packages"}
    assert lines["driver"]["said"].endswith("there is no NVIDIA driver, and params.yaml needs CUDA")
    assert "train.device" in lines["driver"]["do"]
    assert lines["packages"]["said"] == "ended by SIGSEGV (the last words)"
    assert lines["ONNX session"]["said"] == "CPUExecutionProvider, correct product"
    assert lines["image"]["said"] == "sha256:7e57"
    assert all(bool(line["do"]) == (line["level"] != "ok") for line in answer["checks"])
    assert sorted(project.rglob("*")) == before


@without_gpu
def test_with_the_packages_of_the_stages_alone_it_says_so_a_line_each(
    project: Path, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "constraints.txt", project)
    python_path = customised(tmp_path, IMAGE_OF_THE_STAGES)
    cpu = ROOT / "samples" / "params.yaml"
    arguments = ("doctor", "--params", str(cpu))
    done = pipelines(project, *arguments, PYTHONPATH=python_path, NER_IMAGE="sha256:7e57")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == f"0 errors, 1 warning, {len(lines) - 2} ok"
    [warning] = [line for line in lines if line.startswith("warning")]
    assert warning.startswith("warning  gpu               nvidia-ml-py is not installed here: ")
    for name in ("dvc", "mlflow", "prefect"):
        said = f"ok       {name:18}{name} is not installed here, and the stages do not need it"
        assert said in lines


def test_params_that_are_wrong_are_an_error_among_the_others(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "CHECKS", ())
    [finding] = doctor.diagnose(tmp_path)
    assert (finding.check, finding.level) == ("params.yaml", Level.ERROR)
    assert finding.message.startswith(f"{tmp_path} has no params.yaml: run from")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    [finding] = doctor.diagnose(tmp_path, [ROOT / "samples" / "params.yaml"])
    assert (finding.message, finding.level) == (
        "train on cpu, evaluate on cpu, export need not run on CUDA",
        Level.OK,
    )
    (tmp_path / "overlay.yaml").write_text("train: {device: gpu}")
    [finding] = doctor.diagnose(tmp_path, [tmp_path / "overlay.yaml"])
    assert "train.device" in finding.message


def test_a_server_that_never_answers_costs_its_time_limit(monkeypatch, project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{closed_port()}/api")
        waiting = doctor.Check("mlflow", 3, "see whether it can be reached")
        quick = doctor.Check("prefect", 30, "")
        monkeypatch.setattr(doctor, "CHECKS", ((waiting,), (quick,)))
        _, mlflow, prefect = doctor.diagnose(project)
    assert (mlflow.level, mlflow.message, mlflow.remedy) == (
        Level.ERROR,
        "no answer within 3 s",
        "see whether it can be reached",
    )
    assert prefect.message.endswith("/api does not answer")
