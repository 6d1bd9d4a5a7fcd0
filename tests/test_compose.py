"""docker/compose.yaml, as far as it can be seen without a container engine."""

import configparser
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
TOOLS = ("sh", "dirname", "mkdir", "od", "tr", "cat", "chmod", "timeout")


@pytest.fixture
def team(tmp_path: Path):
    """`docker/team` in an empty project, with no engine on the PATH."""
    shutil.copytree(DOCKER, tmp_path / "docker")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(str(shutil.which(name)))

    def team(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [tmp_path / "docker/team", *arguments], env={"PATH": str(tools)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return team


def test_it_is_what_the_compose_specification_says(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    files = [str(DOCKER / "compose.yaml"), str(DOCKER / "compose.gpu.yaml")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((DOCKER / "compose.yaml").read_text().replace("healthcheck:", "healthcheque:"))
    assert subprocess.run([*command, wrong], capture_output=True, check=False).returncode == 1


def test_nothing_listens_beyond_loopback_unless_asked() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "store": ["${NER_LISTEN:-127.0.0.1}:8333:8333"],
        "mlflow": ["${NER_LISTEN:-127.0.0.1}:5000:5000"],
        "prefect": ["${NER_LISTEN:-127.0.0.1}:4200:4200"],
        "serve": ["${NER_LISTEN:-127.0.0.1}:5001:5001"],
    }


def test_what_stays_up_is_health_checked_and_what_waits_waits_for_health() -> None:
    once = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
    assert once == {"home", "setup"}
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == once
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if name in once else "service_healthy"
            assert how == {"condition": wanted}


def test_the_worker_depends_on_all_but_serve_so_it_is_all_that_up_names() -> None:
    found, left = {"serve"}, {"worker"}
    while left:
        found |= left
        left = {name for one in left for name in SERVICES[one].get("depends_on", {})} - found
    assert found == set(SERVICES)
    assert "up --detach --wait worker " in (DOCKER / "team").read_text()


def test_every_image_is_ours_or_by_a_digest_that_nobody_invented() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    theirs = {name: images.pop(name) for name in ("postgres", "store")}
    assert images.pop("serve") == "${NER_SERVE_IMAGE:?start it by docker/team up serve}"
    assert set(images.values()) == {"${NER_PIPELINES_IMAGE:?start it by make up}"}
    digests = dict(
        line.split("=") for line in (DOCKER / "digests.env").read_text().splitlines()[1:]
    )
    for image in theirs.values():
        # `:?` refuses a value that is empty as well.
        [name] = re.findall(r":[\w.]+@\$\{(\w+):\?[^}]+\}$", image)
        assert re.fullmatch(r"(sha256:[0-9a-f]{64})?", digests[name])


def test_every_secret_is_a_file_that_the_first_start_makes(team, tmp_path: Path) -> None:
    assert team("secrets").returncode == 0
    folder = tmp_path / ".team" / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    made = {path.name: path.read_text() for path in folder.iterdir()}
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"../.team/secrets/{name}"}
        assert made[name]
        public = name in ("postgres-password", "store.json")
        assert stat.S_IMODE((folder / name).stat().st_mode) == (0o644 if public else 0o600)
    mentioned = set(re.findall(r"/run/secrets/([\w.-]+)", (DOCKER / "compose.yaml").read_text()))
    assert mentioned == set(COMPOSE["secrets"])
    assert len(made["mlflow-admin"]) == 48
    assert team("secrets").returncode == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    ignored = ["git", "check-ignore", "--quiet", "--no-index", ".team/secrets/pgpass"]
    assert subprocess.run(ignored, cwd=ROOT, check=False).returncode == 0


def test_each_service_has_the_key_of_its_bucket_alone(team, tmp_path: Path) -> None:
    assert team("secrets").returncode == 0
    folder = tmp_path / ".team" / "secrets"
    identities = json.loads((folder / "store.json").read_text())["identities"]
    actions = {identity["name"]: identity["actions"] for identity in identities}
    kinds = ("Read", "Write", "List", "Tagging")
    assert actions == {
        "admin": ["Admin"],
        "mlflow": [f"{kind}:ner-mlflow" for kind in kinds],
        "dvc": [f"{kind}:ner-dvc" for kind in kinds],
    }
    for identity in identities:
        [key] = identity["credentials"]
        keys = configparser.ConfigParser()
        keys.read(folder / f"s3-{identity['name']}")
        assert dict(keys["default"]) == {
            "aws_access_key_id": key["accessKey"], "aws_secret_access_key": key["secretKey"],
        }  # fmt: skip
    assert len({identity["credentials"][0]["secretKey"] for identity in identities}) == 3
    given = {
        name: [secret for secret in service.get("secrets", ()) if secret.startswith("s")]
        for name, service in SERVICES.items()
    }
    wanted = {"store": "store.json", "mlflow": "s3-mlflow", "setup": "s3-admin", "worker": "s3-dvc"}
    assert {name: found for name, found in given.items() if found} == {
        name: [secret] for name, secret in wanted.items()
    }
    for name in ("mlflow", "setup", "worker"):
        file = SERVICES[name]["environment"]["AWS_SHARED_CREDENTIALS_FILE"]
        assert file == f"/run/secrets/{wanted[name]}"
    assert SERVICES["mlflow"]["environment"]["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://ner-mlflow"
    assert SERVICES["setup"]["environment"]["NER_BUCKETS"] == "ner-mlflow ner-dvc"


def test_the_pool_of_containers_joins_the_network_that_compose_makes() -> None:
    pool = json.loads((DOCKER / "pools" / "docker.json").read_text())
    networks = pool["variables"]["properties"]["networks"]["default"]
    assert networks == [COMPOSE["networks"]["default"]["name"]]
    assert not any({"networks", "network_mode"} & set(service) for service in SERVICES.values())
    url = pool["variables"]["properties"]["env"]["default"]["MLFLOW_TRACKING_URI"]
    assert url.split(":")[1].strip("/") in SERVICES


@pytest.mark.parametrize("what", ["up", "down", "backup", "restore", "pin"])
def test_without_an_engine_it_says_so_and_writes_no_digest(team, tmp_path: Path, what: str) -> None:
    before = (tmp_path / "docker" / "digests.env").read_text()
    done = team(what, str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no container engine answers (asked: docker podman)")
    assert (tmp_path / "docker" / "digests.env").read_text() == before
    assert not (tmp_path / ".team").exists()
