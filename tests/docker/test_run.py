"""docker/run where no container engine is needed; with one: test_containers.py."""

import os
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

BOTH_WAYS_OUT = (
    "docker/run: no container engine answers (asked: {}): install and start one,"
    " or set NER_RUNTIME=local to run in the Python environment at hand\n"
)


@pytest.fixture
def checkout(tmp_path):
    """A folder with docker/ in it, and nothing else."""
    shutil.copytree(ROOT / "docker", tmp_path / "here" / "docker")
    return tmp_path / "here"


def run(folder, *command, **env):
    """Exit code and both outputs; without NER_RUNTIME if `env` does not set it."""
    kept = {key: value for key, value in os.environ.items() if key != "NER_RUNTIME"}
    done = subprocess.run(
        ["docker/run", *command], cwd=folder, env=kept | env, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def name(folder, target="stages", **env):
    command = ["docker/name", target]
    return subprocess.run(
        command, cwd=folder, env=os.environ | env, capture_output=True, text=True, check=True
    ).stdout


def test_local_runs_the_command_and_gives_its_exit_code(checkout):
    command = ["sh", "-c", 'echo "$1"; echo two >&2; exit 7', "sh", "北 京"]
    assert run(checkout, *command, NER_RUNTIME="local") == (7, "北 京\n", "two\n")


def test_local_takes_the_environment_that_make_made(checkout):
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho the one of .venv\n")
    python.chmod(0o755)
    assert run(checkout, "python", NER_RUNTIME="local")[1] == "the one of .venv\n"


def test_without_an_engine_both_ways_out_are_said(checkout):
    status, printed, said = run(checkout, "true", NER_ENGINE="no-such-engine", NER_RUNTIME="image")
    assert (status, printed, said) == (1, "", BOTH_WAYS_OUT.format("no-such-engine"))
    assert [path.name for path in checkout.iterdir()] == ["docker"]


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ("no-such-engine", "no container engine answers (asked: no-such-engine)"),
        ("./without-image", "./without-image has no image {image}, which `make image` builds"),
    ],
)
def test_without_an_engine_or_its_image_it_runs_here_and_says_why(checkout, engine, why):
    (checkout / "without-image").write_text('#!/bin/sh\n[ "$1" != image ]\n')
    (checkout / "without-image").chmod(0o755)
    status, printed, said = run(checkout, "echo", "here", NER_ENGINE=engine)
    why = why.format(image=name(checkout).strip())
    assert (status, printed) == (0, "here\n")
    assert said == f"docker/run: runs here, without a container: {why}\n"
    status, _, said = run(checkout, "true", NER_ENGINE=engine, NER_WITH_IMAGE="sha256:0ld")
    assert status == 1  # who asks for an image gets no other environment


@pytest.mark.parametrize("folder", ["a,b", 'a"b'])
def test_a_path_that_the_engines_options_cannot_hold_is_refused(tmp_path, folder):
    shutil.copytree(ROOT / "docker", tmp_path / folder / "docker")
    status, printed, said = run(tmp_path / folder, "true", NER_RUNTIME="image")
    assert (status, printed) == (1, "")
    assert said == (
        "docker/run: the engine's --mount takes a comma or a quote in"
        f" {tmp_path / folder} for its own: rename that folder\n"
    )


def test_a_client_whose_engine_is_away_is_none(checkout):
    """A command that is there and fails, as docker does without its daemon."""
    status, _, said = run(checkout, "true", NER_ENGINE="false", NER_RUNTIME="image")
    assert (status, said) == (1, BOTH_WAYS_OUT.format("false"))


@pytest.mark.parametrize(
    ("command", "env", "said"),
    [
        (["true"], {"NER_RUNTIME": "here"}, "NER_RUNTIME is 'here': set it to local or image"),
        ([], {}, "give a command, or notebook, or ssh"),
    ],
)
def test_wrong_use_is_said(checkout, command, env, said):
    status, printed, error = run(checkout, *command, **env)
    assert (status, printed) == (1, "")
    assert error.startswith(("docker/run: " + said, "docker/runtime: " + said))


ENGINE = """\
#!/bin/sh
case $1 in
run) printf '%s\\n' "$@" ;;
*) echo docker ;;
esac
"""


@pytest.mark.parametrize("stage", ["download", "align"])
def test_the_network_variables_of_both_spellings_reach_download(checkout, stage):
    (checkout / "engine").write_text(ENGINE)
    (checkout / "engine").chmod(0o755)
    pem = checkout / "corp.pem"
    env = {"NER_ENGINE": str(checkout / "engine"), "SSL_CERT_FILE": str(pem)}
    command = ["python", "-m", f"stages.{stage}"]
    if stage == "download":
        said = f"docker/run: SSL_CERT_FILE is {pem}, which does not exist: correct it or unset it\n"
        assert run(checkout, *command, **env)[2] == said
    pem.touch()
    status, printed, _ = run(checkout, *command, **env)
    assert status == 0
    names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"]
    names += [*(name.lower() for name in names), "SSL_CERT_FILE"]
    passed = {name for name in names if f"--env\n{name}\n" in printed}
    assert passed == (set(names) if stage == "download" else set())
    assert (f"src={pem},dst={pem},readonly" in printed) == (stage == "download")
    assert ("--network\nnone\n" in printed) == (stage == "align")


@pytest.mark.parametrize(
    ("stage", "nodes", "network"),
    [("train", "2", "host"), ("train", "1", "none"), ("evaluate", "2", "none")],
)
def test_only_train_on_several_hosts_has_the_hosts_network(checkout, stage, nodes, network):
    (checkout / "engine").write_text(ENGINE)
    (checkout / "engine").chmod(0o755)
    env = {"PET_NNODES": nodes, "NCCL_SOCKET_IFNAME": "eth1", "NER_ENGINE": f"{checkout}/engine"}
    status, printed, said = run(checkout, "python", "-m", f"stages.{stage}", **env)
    assert status == 0, said
    assert re.findall(r"--network\n(.*)\n", printed) == [network]
    passed = {name for name in env if f"--env\n{name}\n" in printed}
    assert passed == ({"PET_NNODES", "NCCL_SOCKET_IFNAME"} if network == "host" else set())


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("IMAGE", ["interactive", "pipelines", "serve", "stages"]),
        ("requirements.lock", ["interactive", "pipelines", "serve", "stages"]),
        ("packages/debian-stages.txt", ["interactive", "pipelines", "serve", "stages"]),
        ("requirements-pipelines.lock", ["interactive", "pipelines", "serve"]),
        ("requirements-interactive.lock", ["interactive"]),
        ("sshd_config", ["interactive"]),
        ("healthcheck.py", ["interactive", "serve"]),
        ("requirements-cu124.lock", []),
        ("run", []),
    ],
)
def test_another_image_has_another_name_and_an_equal_one_has_not(checkout, file, changed):
    targets = ["interactive", "pipelines", "serve", "stages"]
    before = {target: name(checkout, target) for target in targets}
    assert before == {target: name(ROOT, target) for target in targets}
    with (checkout / "docker" / file).open("a") as open_file:
        open_file.write("# more\n")
    assert [target for target in targets if name(checkout, target) != before[target]] == changed


def test_a_variant_of_docker_build_has_a_name_of_its_own(checkout):
    base = (checkout / "docker/IMAGE-cu124").read_text().strip()
    variants = [{}, {"BASE": base}, {"LOCK": "requirements-cu124.lock"}]
    variants += [variants[1] | variants[2]]
    for target in ("interactive", "pipelines", "serve", "stages"):
        assert len({name(checkout, target, **variant) for variant in variants}) == 4
    image = (checkout / "docker/IMAGE").read_text().strip()
    assert name(checkout, BASE=image, LOCK="requirements.lock") == name(checkout)
    with pytest.raises(subprocess.CalledProcessError):
        name(checkout, LOCK="none.lock")


def test_a_package_that_moves_to_the_next_list_makes_another_image(checkout):
    before = name(checkout)
    first, second = sorted((checkout / "docker/packages").iterdir())[:2]
    *kept, moved = first.read_text().splitlines(keepends=True)
    first.write_text("".join(kept))
    second.write_text(moved + second.read_text())
    assert name(checkout) != before


def test_the_build_is_handed_what_the_dockerfile_copies_and_nothing_else():
    ignored, *let_in = [
        line
        for line in (ROOT / "docker/.dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert ignored == "*"
    copied = re.findall(
        r"^COPY (?:--\S+ )?(.*) \S+$", (ROOT / "docker/Dockerfile").read_text(), re.M
    )
    sources = {
        source.replace("${LOCK}", "requirements.lock") for c in copied for source in c.split()
    }
    assert len(sources) > 5
    handed = {path for rule in let_in for path in (ROOT / "docker").glob(rule.removeprefix("!"))}
    wanted = {path for source in sources for path in (ROOT / "docker").glob(source)}
    assert handed - wanted == {ROOT / "docker/requirements-cu124.lock"}
    assert wanted <= handed
