"""constraints.txt and the image's locks say what pyproject.toml asks for, and the same versions."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

DOCKER = ROOT / "docker"
# Which dependency group of pyproject.toml a lock is of.
LOCKS = {
    "requirements.lock": "stages",
    "requirements-pipelines.lock": "pipelines",
    "requirements-interactive.lock": "interactive",
    "requirements-build.lock": "image-build",
}
REMEDY = "`make lock` makes them agree"
PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)

each_lock = pytest.mark.parametrize("lock", LOCKS)


def pinned(path):
    """Name → its versions: there may be one for each Python."""
    found = {}
    for name, version in PINNED.findall(path.read_text(encoding="utf-8")):
        found.setdefault(name, set()).add(version)
    return found


def asked(group):
    """What `group` of pyproject.toml asks for, and the groups that it includes."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    for entry in groups[group]:
        if isinstance(entry, dict):
            yield from asked(entry["include-group"])
        else:
            yield Requirement(entry)


def disagreements(group, versions):
    return [
        f"{requirement} is asked for, {versions.get(name, 'nothing')} is locked"
        for requirement in asked(group)
        if not (versions.get(name := canonicalize_name(requirement.name)))
        or not all(map(requirement.specifier.contains, versions[name]))
    ]


@pytest.mark.parametrize("group", ["dev", "interactive", "image-build", "audit"])
def test_constraints_are_what_pyproject_asks_for(group):
    assert disagreements(group, pinned(ROOT / "constraints.txt")) == [], REMEDY


@each_lock
def test_a_lock_has_all_that_its_group_asks_for_in_the_version_of_constraints(lock):
    locked, constraints = pinned(DOCKER / lock), pinned(ROOT / "constraints.txt")
    assert disagreements(LOCKS[lock], locked) == [], REMEDY
    other = {name: (v, constraints.get(name)) for name, v in locked.items()}
    assert {n: both for n, both in other.items() if not both[0] <= (both[1] or set())} == {}, REMEDY


def test_each_lock_is_known_here_and_each_has_hashes_and_no_address():
    there = {path.name for path in DOCKER.glob("*.lock")}
    assert there == {*LOCKS, "requirements-cu124.lock"}
    for lock in there:
        text = (DOCKER / lock).read_text(encoding="utf-8")
        assert "//" not in text
        entries = re.split(r"\n(?=\S)", text.strip())
        assert len(entries) > 1
        for entry in entries:
            assert PINNED.match(entry), entry
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_variant_has_its_torch_and_a_cuda_12_build():
    locked = pinned(DOCKER / "requirements-cu124.lock")
    assert locked["torch"] == {"2.6.0"}
    assert "nvidia-cublas-cu12" in locked
    assert not any(name.endswith("cu13") for name in locked)
    [version] = locked["onnxruntime-gpu"]
    assert tuple(map(int, version.split(".")[:2])) < (1, 27)
    other = {line.split("<")[0] for line in disagreements("stages", locked)}
    assert other == {"onnxruntime-gpu", "torch"}


@pytest.mark.parametrize(
    ("base", "lock"),
    [("IMAGE", "requirements.lock"), ("IMAGE-cu124", "requirements-cu124.lock")],
)
def test_the_base_is_pinned_by_digest_and_has_the_torch_of_the_lock(base, lock):
    image = (DOCKER / base).read_text(encoding="utf-8")
    torch = re.fullmatch(r"[\w./-]+:([\d.]+)-cuda[\d.]+-\S+@sha256:[0-9a-f]{64}\n", image)
    assert torch
    assert pinned(DOCKER / lock)["torch"] == {torch[1]}
