"""The Kubernetes job of docker/pools, by Prefect's own worker and Kubernetes' published schemas."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.standin import ROOT, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # an environment of 100 packages
# By uvx, as no part of the project needs them.
PACKAGES = ("prefect-kubernetes==0.8.0", "kubernetes-validate==1.37.0")
VERSIONS = ("1.30.0", "1.33.0", "1.37.0")  # of Kubernetes
TEMPLATE = ROOT / "docker/pools/kubernetes.json"


@pytest.fixture(scope="module")
def python() -> list[str | Path]:
    """Python with these packages, in an environment of its own."""
    uvx = [Path(sys.executable).with_name("uvx"), "--quiet", "--python", sys.executable]
    uvx += ["--constraints", ROOT / "constraints.txt"]
    for package in PACKAGES:
        uvx += ["--with", package]
    tried = subprocess.run([*uvx, "python", "-c", ""], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"uvx does not get its packages: {tried.stderr.strip()[-300:]}")
    return [*uvx, "python"]


@pytest.fixture
def made(python: list[str | Path], prefect_url: str):
    def made(template: Path, **variables: Any) -> "subprocess.CompletedProcess[str]":
        script = [ROOT / "tests/support/pool_job.py", template, json.dumps(variables), *VERSIONS]
        env = clean_environment() | {"PREFECT_API_URL": prefect_url}  # or Prefect starts a server
        del env["PYTHONPATH"]
        return subprocess.run([*python, *script], env=env, capture_output=True, text=True)

    return made


def test_kubernetes_takes_the_job(made) -> None:
    image = "registry.example.org/msra-ner-pipelines@sha256:" + "0" * 64
    done = made(TEMPLATE, image=image, gpus=2, shm_size="8Gi", volume_claim="ner")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["lacking"] == {"variables": [], "job": []}
    spec = printed["job"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 0)
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == image
    assert container["resources"] == {
        "limits": {"memory": "32Gi", "nvidia.com/gpu": 2},
        "requests": {"cpu": "4", "memory": "16Gi"},
    }
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    assert volumes["project"]["persistentVolumeClaim"] == {"claimName": "ner"}
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["NER_RUNTIME"] == "local"
    assert container["args"][-2:] == ["flow-run", "execute"]


def test_a_field_that_kubernetes_does_not_know_is_found(made, tmp_path: Path) -> None:
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    spec = template["job_configuration"]["job_manifest"]["spec"]
    spec["template"]["spec"]["parallelism"] = 1  # where prefect-kubernetes 0.8.0 itself has it
    (tmp_path / "wrong.json").write_text(json.dumps(template))
    done = made(tmp_path / "wrong.json")
    assert done.returncode != 0
    assert "'parallelism' was unexpected" in done.stderr
