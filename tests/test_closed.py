"""No pickle and no shell: what the linter refuses, and the one call that it does not know."""

import ast
import json
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CODE = [
    path
    for folder in ("stages", "pipelines", "docker", "samples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import pickle", "TID251"),
        ("from cloudpickle import dumps", "TID251"),
        ("import joblib", "TID251"),
        ("import mlflow.sklearn", "TID251"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "S602"),
        ("import os\nos.system('ls $X')", "S605"),
        ("import yaml\nyaml.load('', Loader=yaml.Loader)", "S506"),
        ("eval('1')", "S307"),
        ("exec('1')", "S102"),
        ("import tarfile\ntarfile.open('x').extractall('y')", "S202"),
        ("import requests\nrequests.get('https://x', verify=False, timeout=1)", "S501"),
        ("TOKEN = password = 'hunter2hunter2'", "S105"),  # pragma: allowlist secret
    ],
)
def test_the_linter_refuses(code: str, rule: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "json"]
    command += ["--stdin-filename", "stages/planted.py", "-"]
    done = subprocess.run(command, cwd=ROOT, input=code, capture_output=True, text=True)
    assert rule in {found["code"] for found in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("call", "needed"), [("torch.load", "weights_only=True"), ("np.load", "allow_pickle=False")]
)
def test_what_may_hold_a_pickle_is_read_without_running_it(call: str, needed: str) -> None:
    unsafe = [f"{path}:{line}" for path in CODE for line in without(path.read_text(), call, needed)]
    assert unsafe == []


def test_the_check_finds_what_it_looks_for() -> None:
    code = "torch.load(f)\ntorch.load(f, weights_only=True)\ntorch.load(f, weights_only=False)"
    assert without(code, "torch.load", "weights_only=True") == [1, 3]
    assert any("torch.load(" in path.read_text() for path in CODE)


def without(code: str, call: str, needed: str) -> list[int]:
    """The lines that call `call` without the argument `needed`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == call
        and needed not in map(ast.unparse, node.keywords)
    ]


def test_an_images_history_can_hold_no_secret() -> None:
    """What a build is given by ARG or ENV stays in its history; by a secret's mount it does not."""
    text = (ROOT / "docker" / "Dockerfile").read_text()
    arguments = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert arguments == {"BASE", "LOCK", "SOURCE_DATE_EPOCH", "REVISION", "SOURCE"}
    mounts = re.findall(r"--mount=\S+", text)
    assert len(mounts) == 3
    assert set(mounts) == {"--mount=type=secret,id=pip,target=/etc/pip.conf"}
    copied = re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", text, re.MULTILINE)
    named = {name for line in copied for name in line.split()}
    assert named <= {
        *("install", "entrypoint", "sshd_config", "healthcheck.py", "${LOCK}"),
        *(
            "requirements-build.lock",
            "requirements-pipelines.lock",
            "requirements-interactive.lock",
        ),
        *(f"packages/*-{target}.txt" for target in ("stages", "pipelines", "interactive")),
    }
    build = (ROOT / "docker" / "build").read_text()
    given = set(re.findall(r"--build-arg (\w+)=", build))
    assert given == arguments
    [edit] = re.findall(r"remote get-url .*\| sed '([^']+)'", build)
    for login in ("", "u:p@", "u:p@ss@", "u:p/w@"):  # a remote's address may hold a password
        address = subprocess.run(
            ["sed", edit], input=f"https://{login}h.org/x.git", capture_output=True, text=True
        )
        assert address.stdout == "https://h.org/x.git"
