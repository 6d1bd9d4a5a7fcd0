"""docker/run with a real engine: what a command finds in the container, and how it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.workspaces import process_group
from tests.conftest import ROOT
from tests.docker.conftest import IN_IMAGE, call

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]
DEADLINE_S = 60


@pytest.fixture
def checkout(tmp_path, image):
    """A folder with docker/ in it: a workspace as docker/run sees one."""
    shutil.copytree(ROOT / "docker", tmp_path / "here" / "docker")
    (tmp_path / "here" / "params.yaml").write_text("{}")
    return tmp_path / "here"


def run(folder, *command, **env):
    return call("docker/run", *command, cwd=folder, env=IN_IMAGE | env)


def is_there(engine, pid):
    """Whether there is the container of the docker/run with that process id, in whatever state."""
    names = call(engine, "ps", "--all", "--format", "{{.Names}}")[1].split()
    return any(name.startswith("ner-sleep-") and name.endswith(f"-{pid}") for name in names)


def within_deadline(what):
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def test_only_the_folders_of_outs_can_be_written(checkout):
    wanted = "data models reports .measured $NER_CHECKPOINTS /tmp"
    script = f"""for folder in {wanted}; do touch "$folder/new" || exit 1; done
        for file in params.yaml /new /opt/ner/new; do ! touch $file 2>/dev/null || exit 1; done
        pwd; umask; id -u"""
    status, printed, said = run(checkout, "bash", "-c", script)
    assert (status, said) == (0, "")
    assert printed.splitlines() == [str(checkout), "0027", str(os.getuid())]
    for folder in ("data", "models", "reports", ".measured", ".checkpoints"):
        new = checkout / folder / "new"
        assert (new.stat().st_mode & 0o777, new.stat().st_uid) == (0o640, os.getuid())
    assert not (checkout / "new").exists()


def test_only_download_has_a_network(checkout):
    interfaces = "import os; print(*sorted(os.listdir('/sys/class/net')))"
    assert run(checkout, "python", "-c", interfaces)[1] == "lo\n"
    (checkout / "stages").mkdir()
    (checkout / "stages" / "download.py").write_text(interfaces)
    status, printed, said = run(checkout, "python", "-m", "stages.download")
    assert (status, said) == (0, "")
    assert len(printed.split()) > 1


def test_the_exit_code_is_the_commands_and_a_missing_command_is_said(checkout):
    assert run(checkout, "sh", "-c", "echo one; echo two >&2; exit 7") == (7, "one\n", "two\n")
    status, _, said = run(checkout, "no-such-command")
    assert status == 127
    assert "no-such-command" in said


def test_an_image_that_is_not_made_is_named_with_what_makes_it(checkout):
    with (checkout / "docker/IMAGE").open("a") as file:
        file.write("# another\n")
    status, _, said = run(checkout, "true", NER_RUNTIME="image")
    assert status == 1
    assert said.endswith("the one of these docker/IMAGE and locks: make image\n")


def test_a_stage_learns_the_images_id(checkout, image, engine):
    [inspected] = json.loads(call(engine, "image", "inspect", image)[1])
    printed = run(checkout, "sh", "-c", "echo $NER_IMAGE $NER_RUNTIME")[1]
    assert printed == f"sha256:{inspected['Id'].removeprefix('sha256:')} local\n"


def test_inside_the_image_docker_run_takes_no_environment_of_the_checkout(checkout):
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho another machine's\n")
    python.chmod(0o755)
    show = "import sys; print(sys.prefix)"
    assert run(checkout, "docker/run", "python", "-c", show) == (0, "/opt/ner\n", "")


def test_a_folder_named_by_a_variable_and_the_cache_behind_links_are_there(checkout, tmp_path):
    more, cached = tmp_path / "more of it", tmp_path / "cache" / "files" / "md5" / "ab" / "cd"
    for file in (more / "x", cached):
        file.parent.mkdir(parents=True)
        file.write_text(file.name)
    (checkout / "data").mkdir()
    (checkout / "data" / "link").symlink_to(cached)
    script = 'cat "$NER_MORE/x" data/link; ! touch "$NER_MORE/y" 2>/dev/null'
    assert run(checkout, "sh", "-c", script, NER_MORE=str(more)) == (0, "xcd", "")


def test_of_other_variables_only_those_of_NER_PASS_are_there(checkout):  # noqa: N802
    given = {"MLFLOW_TRACKING_PASSWORD": "no", "MORE": "yes", "NER_PASS": "MORE,HOSTTYPE"}
    script = 'echo "$MORE${MLFLOW_TRACKING_PASSWORD:-}"'
    assert run(checkout, "sh", "-c", script, **given) == (0, "yes\n", "")


@pytest.fixture
def sleeping(checkout, engine):
    """`docker/run sleep` once its container is there; as a stage, in a group of its own."""
    command = ["docker/run", "sleep", "600"]
    process = subprocess.Popen(command, cwd=checkout, env=IN_IMAGE, start_new_session=True)
    try:
        within_deadline(lambda: is_there(engine, process.pid))
        yield process
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_no_container_outlives_docker_run(sleeping, engine, way):
    sleeping.send_signal(way)
    assert sleeping.wait(DEADLINE_S) == (-way if way == signal.SIGKILL else 128 + way)
    within_deadline(lambda: not is_there(engine, sleeping.pid))


def test_no_container_outlives_a_stop_that_comes_before_it(checkout, engine, tmp_path):
    late = tmp_path / "late"
    late.write_text(
        f'#!/bin/sh\n[ "$1" != run ] || {{ touch "$0.run"; sleep 2; }}\nexec {engine} "$@"\n'
    )
    late.chmod(0o755)
    env = IN_IMAGE | {"NER_ENGINE": str(late)}
    process = subprocess.Popen(["docker/run", "sleep", "600"], cwd=checkout, env=env)
    try:
        within_deadline((tmp_path / "late.run").exists)
        process.terminate()
        assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM
        within_deadline(lambda: not is_there(engine, process.pid))
    finally:
        process.kill()


def test_no_container_outlives_its_killed_group(sleeping, engine):
    """As pipelines/workspaces/process_group.py ends a stage that does not heed SIGTERM."""
    os.killpg(sleeping.pid, signal.SIGKILL)
    within_deadline(lambda: not is_there(engine, sleeping.pid))


def test_no_container_outlives_the_flow_that_wanted_it(checkout, engine):
    """The pipe to the supervisor closes, however the flow ended."""
    script = "echo $$; exec docker/run sleep 600"
    process = process_group.start(["sh", "-c", script], checkout, IN_IMAGE)
    pid = int(process.stdout.readline())
    within_deadline(lambda: is_there(engine, pid))
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 128 + signal.SIGHUP
    process.stdout.close()
    within_deadline(lambda: not is_there(engine, pid))


def test_any_user_can_use_all_of_it_and_becomes_no_other(image, engine):
    imports = "import datasets, onnx, onnxruntime, torch, transformers; print(torch.__file__)"
    options = ["--rm", "--user", "12345:54321", "--read-only", "--tmpfs", "/tmp:mode=1777"]  # noqa: S108
    status, printed, said = call(engine, "run", *options, image, "python", "-c", imports)
    assert status == 0, said
    assert Path(printed.strip()).name == "__init__.py"
    search = "find / -xdev -type f -perm /6000; find /opt/ner -not -perm -o=r"
    root = ["--rm", "--user", "0", image, "sh", "-c", search]
    assert call(engine, "run", *root)[:2] == (0, "")


def test_packages_of_the_base_stay_and_those_of_the_lock_are_there(image, engine):
    lock = (ROOT / "docker/requirements.lock").read_text(encoding="utf-8")
    show = "from importlib.metadata import distributions as found\n"
    show += "print(*(f'{package.name}=={package.version}' for package in found()))"
    status, printed, said = call(engine, "run", "--rm", image, "python", "-c", show)
    assert status == 0, said
    there = {name.lower().replace("_", "-").split("+")[0] for name in printed.split()}
    for name in ("torch", "transformers", "onnxruntime-gpu", "safetensors"):
        [line] = [line for line in lock.splitlines() if line.startswith(f"{name}==")]
        assert line.split(" ")[0] in there


def test_onnx_runtime_finds_cuda_in_the_bases_python(image, engine):
    """Where torch's wheels bring it, in the image without torch's import."""
    script = """import onnxruntime, sys; from pathlib import Path
there = [p.name for folder in sys.path for p in Path(folder).glob("nvidia/*/lib/lib*.so.*")]
print(*there)
onnxruntime.preload_dlls()"""
    status, printed, said = call(engine, "run", "--rm", image, "python", "-c", script)
    assert status == 0, said
    first, *failed = printed.splitlines()
    assert any(name.startswith("libcudart.so.") for name in first.split())
    assert [line for line in failed if any(f"load {name}:" in line for name in first.split())] == []


def test_what_the_image_says_of_itself(image, engine):
    [inspected] = json.loads(call(engine, "image", "inspect", image)[1])
    config = inspected["Config"]
    labels = {key.rsplit(".", 1)[1]: value for key, value in config["Labels"].items()
              if key.startswith("org.opencontainers.image.")}  # fmt: skip
    assert {*labels} >= {"title", "source", "revision", "licenses"}
    assert config["User"] == "10001"
    assert config["Cmd"] == ["python", "-m", "pipelines", "doctor"]


def test_the_bill_of_materials_has_python_and_debian_packages(image, engine, tmp_path):
    code, printed, said = call("docker/sbom", tmp_path, "stages")
    assert (code, printed) == (0, f"{tmp_path}/stages.cdx.json\n"), said
    bom = json.loads((tmp_path / "stages.cdx.json").read_text(encoding="utf-8"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    purls = [component["purl"] for component in bom["components"]]
    assert len(purls) == len(set(purls))
    [torch] = [purl for purl in purls if purl.startswith("pkg:pypi/torch@")]
    locked = re.search(r"^torch==(\S+)", (ROOT / "docker/requirements.lock").read_text(), re.M)
    assert torch.removeprefix("pkg:pypi/torch@").split("%2B")[0] == locked[1]
    assert any(purl.startswith(("pkg:deb/debian/dpkg@", "pkg:deb/ubuntu/dpkg@")) for purl in purls)


def test_the_image_can_look_at_itself(image):
    """Its default command, `doctor`, on a checkout."""
    printed = call("docker/run", "python", "-m", "pipelines", "doctor")[1]
    for check in ("torch", "onnxruntime", "ONNX session", "image", "packages"):
        assert re.search(rf"^ok  +{check} ", printed, re.MULTILINE), printed
