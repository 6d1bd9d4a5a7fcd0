"""The image for people: JupyterLab behind a token, sshd behind keys."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from tests.conftest import ROOT
from tests.docker.conftest import IN_IMAGE, call, image_of
from tests.pipelines.standin import closed_port

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]
DEADLINE_S = 120


@contextmanager
def serving(mode, inside, *options, **env):
    """`docker/run MODE` while its port answers; yields the port and what was printed so far."""
    port = closed_port()
    published = ["-p", f"127.0.0.1:{port}:{inside}"]
    process = subprocess.Popen(
        ["docker/run", mode, *published, *options],
        cwd=ROOT,
        env=IN_IMAGE | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield port, next(line for line in process.stdout if not line.startswith('time="'))
    finally:
        process.terminate()
        rest = process.communicate(timeout=60)[0]
    assert "Traceback" not in rest


def status(url):
    """What is answered there, asked for until something is."""
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            return urllib.request.urlopen(url, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            assert time.monotonic() < end, url
            time.sleep(0.2)


def wait_for(port):
    """Until sshd greets: the engine's own proxy takes connections before."""
    end = time.monotonic() + DEADLINE_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            if connection.recv(4) == b"SSH-":
                return
        assert time.monotonic() < end, port
        time.sleep(0.2)


def running(engine, mode):
    names = call(engine, "ps", "--format", "{{.Names}}")[1].split()
    [name] = [name for name in names if name.startswith(f"ner-{mode}-")]
    return name


def test_jupyterlab_wants_the_token_that_is_printed_once(interactive, engine):
    with serving("notebook", 8888) as (port, first):
        [token] = re.findall(r"token=([0-9a-f]{48})$", first)
        url = f"http://127.0.0.1:{port}/api/contents"
        assert status(url) == 403
        assert status(f"{url}?token={'0' * 48}") == 403
        assert status(f"{url}?token={token}") == 200
        name = running(engine, "notebook")
        assert call(engine, "healthcheck", "run", name)[0] == 0 or engine != "podman"
        logged = call(engine, "logs", name)
        assert (logged[1] + logged[2]).count(token) == 1


@pytest.mark.parametrize("token", ["", "short"])
def test_a_token_that_is_none_is_refused(interactive, token):
    code, printed, said = call("docker/run", "notebook", "-p", "127.0.0.1::8888",
                               env=IN_IMAGE | {"NER_TOKEN": token})  # fmt: skip
    assert (code, printed) == (1, "")
    assert said == "NER_TOKEN has less than 16 characters: leave it out, then one is made\n"


@pytest.fixture
def keys(tmp_path):
    """Two key pairs, `right` and `wrong`; the first one's public key may log in."""
    for name in ("right", "wrong"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(make, check=True)
    (tmp_path / "right.pub").chmod(0o644)
    tmp_path.chmod(0o755)
    return tmp_path


def ssh(port, keys, user, *command, key="right", **options):
    given = {
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": keys / "known_hosts",
        "IdentitiesOnly": "yes",
        "NumberOfPasswordPrompts": "1",
        "ConnectTimeout": "10",
    } | options
    as_options = [f"-o{name}={value}" for name, value in given.items()]
    where = ["-F", "none", "-p", str(port), f"{user}@127.0.0.1"]
    env = {
        "PATH": os.environ["PATH"],
        "SSH_ASKPASS": keys / "askpass",
        "SSH_ASKPASS_REQUIRE": "force",
    }
    return call("ssh", *as_options, "-i", keys / key, *where, *command, cwd=keys, env=env)


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh client here")
def test_ssh_takes_the_key_and_no_password_no_root_no_other_key(interactive, engine, keys):
    (keys / "askpass").write_text("#!/bin/sh\necho secret\n")
    (keys / "askpass").chmod(0o755)
    for start in (1, 2):
        with serving("ssh", 2222, NER_SSH_KEYS=str(keys / "right.pub")) as (port, first):
            user, host_key = re.fullmatch(
                r"sshd: port 2222, user (\S+), host key (\S+)\n", first
            ).groups()
            wait_for(port)
            script = 'python -c "import torch, mlflow, jupyterlab"; echo $? $NER_RUNTIME; id -u'
            code, printed, said = ssh(port, keys, user, script)
            assert code == 0, said
            assert printed.split()[:2] == ["0", "local"]
            assert int(printed.split()[2]) != 0
            if start == 1:
                first_key = host_key
                login = ssh(port, keys, user, "bash", "-lc", "'python -c \"import torch\"'")
                assert login[0] == 0, login
                name = running(engine, "ssh")
                assert call(engine, "healthcheck", "run", name)[0] == 0 or engine != "podman"
                for refused in (
                    ssh(port, keys, user, "true", key="wrong"),
                    ssh(port, keys, "root", "true"),
                    ssh(port, keys, user, "true", key="wrong", PubkeyAuthentication="no"),
                ):
                    assert refused[0] == 255
                    assert "Permission denied (publickey)" in refused[2]
    assert host_key == first_key


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh client here")
def test_ssh_hands_on_variables_that_no_command_line_has(interactive, engine, keys):
    given = {"NER_SSH_KEYS": str(keys / "right.pub"), "NER_TOKEN": "t0k3n of a source"}
    with serving("ssh", 2222, **given) as (port, first):
        user = re.match(r"sshd: port 2222, user (\S+),", first)[1]
        wait_for(port)
        assert ssh(port, keys, user, "printenv NER_TOKEN")[:2] == (0, "t0k3n of a source\n")
        _, printed, said = ssh(port, keys, user, "cat /proc/[0-9]*/cmdline")
        assert "sshd" in printed, said
        assert "t0k3n" not in printed


def test_ssh_without_a_key_or_as_root_is_refused(interactive, engine, keys):
    (keys / "none").write_text("")
    code, _, said = call("docker/run", "ssh", env=IN_IMAGE | {"NER_SSH_KEYS": str(keys / "none")})
    assert code == 1
    assert said.startswith(f"docker/run: {keys}/none has no public key")
    code, _, said = call(engine, "run", "--rm", "--user", "0", interactive, "ssh")
    assert (code, said) == (1, "sshd is not started as root: run the container with --user UID\n")
    code, _, said = call(engine, "run", "--rm", interactive, "ssh")
    assert code == 1
    assert said.startswith("no public key that user 10001 can read: mount a file of them")


def test_any_user_can_log_in_by_ssh(interactive, engine, keys):
    """Whom no passwd file knows, with the root file system read-only."""
    port = closed_port()
    options = ["--rm", "--detach", "--read-only", "--cap-drop", "ALL", "--user", "54321:54321"]
    options += ["--tmpfs", "/tmp:mode=1777", "-p", f"127.0.0.1:{port}:2222"]  # noqa: S108
    options += ["-v", f"{keys / 'right.pub'}:/etc/ner/authorized_keys:ro"]
    options += ["--passwd=false"] if engine == "podman" else []  # docker adds no user anyway
    code, name, said = call(engine, "run", *options, interactive, "ssh")
    assert code == 0, said
    try:
        wait_for(port)
        assert ssh(port, keys, "ner54321", "id", "-u")[:2] == (0, "54321\n")
    finally:
        call(engine, "stop", "-t", "2", name.strip())


@pytest.mark.parametrize("target", ["interactive", "serve"])
def test_health_is_looked_at(target, engine):
    [inspected] = json.loads(call(engine, "image", "inspect", image_of(target, engine))[1])
    check = inspected.get("Healthcheck") or inspected["Config"].get("Healthcheck")
    assert check["Test"] == ["CMD", "python", "/etc/ner/healthcheck.py"]
