"""Training on two hosts: network namespaces with a cable between them, each with its own folder."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stages.training import checkpoint
from tests.stage_process import files, start, until_made
from tests.stages.train.conftest import same

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each of two processes imports torch

ADDRESSES = ("10.83.0.1", "10.83.0.2")
TORCHRUN = ["torchrun", "--nproc-per-node", "1", "-m", "stages.train"]
STAGE = ["python", "-m", "stages.train"]


@dataclass
class Host:
    """A network namespace, and what is on that host's disk."""

    name: str
    folder: Path
    rank: int

    def start(self, command: list[str], **env: str) -> "subprocess.Popen[str]":
        """As docs/operations.md has it; the namespaces' host name is the other's loopback."""
        env |= {"PET_NNODES": "2", "PET_NODE_RANK": str(self.rank)}
        env |= {"PET_MASTER_ADDR": ADDRESSES[0], "PET_MASTER_PORT": "29400"}
        env |= {"GLOO_SOCKET_IFNAME": "ner0", "PYTHONPATH": str(checkpoint.ROOT)}
        env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            cwd=self.folder, env=os.environ | env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture
def cable():
    """Two network namespaces that reach each other and nothing else."""
    names = [f"ner-{os.getpid()}-{rank}" for rank in (0, 1)]
    with ExitStack() as stack:
        for name in names:
            made = shutil.which("ip") and subprocess.run(["ip", "netns", "add", name])
            if not made or made.returncode:
                pytest.skip("not allowed to make a network namespace")
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
        first, second = names
        ip("link", "add", "ner0", "netns", first, "type", "veth",
           "peer", "name", "ner0", "netns", second)  # fmt: skip
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "ner0")
            ip("-n", name, "link", "set", "ner0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def hosts(cable, workspaces):
    """Two hosts with the same inputs; the first's folder is `workspaces[1]`."""
    _, first = workspaces
    params = first / "params.yaml"
    params.write_text(params.read_text().replace("  gpus: 2\n", "  gpus: 1\n"))
    second = shutil.copytree(first, first.parent / "second")
    return [
        Host(name, folder, n)
        for n, (name, folder) in enumerate(zip(cable, (first, second), strict=True))
    ]


@pytest.mark.parametrize("command", [TORCHRUN, STAGE], ids=["torchrun", "stage"])
def test_two_hosts_come_to_the_weights_of_one_process(workspaces, hosts, command):
    alone, first = workspaces
    before = files(hosts[1].folder).keys()
    processes = [start("train", alone), *(host.start(command) for host in hosts)]
    for process in processes:
        printed = process.communicate(timeout=300)
        assert process.returncode == 0, printed
    same(alone, first)
    assert files(hosts[1].folder).keys() == before


def ends(processes, code: int = 1) -> list[str]:
    """The last line that each printed."""
    printed = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), printed
    return [(text.splitlines() or [""])[-1] for text in printed]


def test_other_inputs_on_the_second_host(hosts):
    params = hosts[1].folder / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("  learning_rate: 0.005", "  learning_rate: 0.006"))
    (hosts[1].folder / "data/encoder/more.txt").write_text("more")
    differ = "train: the hosts of this training differ from the first in"
    do = "give all the same commit, params.yaml and data/"
    assert ends([host.start(STAGE) for host in hosts]) == [
        f"{differ} what the error on another host names: {do}",
        f"{differ} more.txt, train.learning_rate: {do}",
    ]


def test_a_dead_host_ends_the_other_and_a_shared_folder_of_checkpoints_resumes(hosts):
    first = hosts[0].folder
    processes = [host.start(STAGE) for host in hosts]
    until_made(".checkpoints/*/00000003-*.pt", first, processes[0], within_s=200)
    dies = psutil.Process(processes[1].pid)
    for process in [dies, *dies.children(recursive=True)]:
        process.kill()
    processes[1].communicate()
    [printed] = ends(processes[:1])
    assert printed.startswith("train: rank 0 ended, and all others with it: ")
    for printed in ends([host.start(STAGE) for host in hosts]):
        assert printed.startswith("train: the ranks find different checkpoints in .checkpoints/")
    shared = {"NER_CHECKPOINTS": str(first / ".checkpoints")}
    processes = [host.start(STAGE, **shared) for host in hosts]
    printed = processes[0].communicate(timeout=300)[1]
    assert "resuming after step " in printed
    ends(processes[1:], code=0)
    assert processes[0].returncode == 0, printed
    assert (first / "models/ner/model.safetensors").is_file()
