"""The job templates of docker/pools, as a real Prefect server takes them."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.pipelines.standin import ROOT, clean_environment

POOLS = ROOT / "docker" / "pools"
kinds = pytest.mark.parametrize("kind", ["docker", "kubernetes"])


def create(url: str, kind: str, template: Path) -> "subprocess.CompletedProcess[str]":
    """As docs/operations.md has it, under another name."""
    command = [sys.executable, "-m", "prefect", "work-pool", "create", f"test-{kind}"]
    command += ["--type", kind, "--base-job-template", str(template), "--overwrite"]
    env = {**clean_environment(), "PREFECT_API_URL": url}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@kinds
def test_the_server_takes_it_and_holds_jobs_to_it(kind: str, prefect_url: str) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.exceptions import PrefectHTTPStatusError

    done = create(prefect_url, kind, POOLS / f"{kind}.json")
    assert done.returncode == 0, done.stdout + done.stderr
    with SyncPrefectClient(prefect_url) as client:
        pool = client.read_work_pool(f"test-{kind}")
        assert pool.type == kind
        flow = client.create_flow_from_name("pools")
        deploy = {"flow_id": flow, "name": str(uuid4()), "work_pool_name": pool.name}
        client.create_deployment(**deploy, job_variables={"image": "msra-ner:other"})
        wrong = {"image": 7} if kind == "docker" else {"gpus": -1}
        with pytest.raises(PrefectHTTPStatusError, match="422"):
            client.create_deployment(**deploy, job_variables=wrong)


@kinds
def test_a_variable_that_is_not_declared_is_refused(
    kind: str, prefect_url: str, tmp_path: Path
) -> None:
    template = json.loads((POOLS / f"{kind}.json").read_text())
    del template["variables"]["properties"]["image"]
    (tmp_path / "wrong.json").write_text(json.dumps(template))
    done = create(prefect_url, kind, tmp_path / "wrong.json")
    assert done.returncode != 0
    assert "undeclared variable(s): image" in " ".join((done.stdout + done.stderr).split())


@kinds
def test_the_job_has_gpu_project_shm_and_no_root(kind: str) -> None:
    template = json.loads((POOLS / f"{kind}.json").read_text())
    default = {
        name: variable.get("default")
        for name, variable in template["variables"]["properties"].items()
    }
    assert default["env"]["NER_RUNTIME"] == "local"  # or a stage would start a container in one
    if kind == "docker":
        kwargs = default["container_create_kwargs"]
        assert kwargs["device_requests"][0]["Capabilities"] == [["gpu"]]
        assert (kwargs["working_dir"], kwargs["shm_size"]) == ("/workspace", "2g")
        assert not kwargs["user"].startswith("0")
        assert default["volumes"] == ["/srv/msra-ner:/workspace"]
    else:
        pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
        [job] = pod["containers"]
        assert job["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
        assert default["gpus"] == 1
        assert {m["mountPath"] for m in job["volumeMounts"]} == {"/workspace", "/dev/shm"}  # noqa: S108
        assert pod["securityContext"]["runAsNonRoot"] is True
