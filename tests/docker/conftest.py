"""For the tests that are marked `container`: an engine that answers, and the images in it."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

# Of `docker/run`: this is the point of these tests, the others run without.
IN_IMAGE = {key: value for key, value in os.environ.items() if key != "NER_RUNTIME"}


@pytest.fixture(scope="session")
def engine():
    """The engine's command; skips, with the reason, where none answers."""
    for name in os.environ.get("NER_ENGINE", "docker podman").split():
        if shutil.which(name) and not call(name, "info")[0]:
            return name
    pytest.skip("no container engine answers")


@pytest.fixture(scope="session")
def image(engine):
    return image_of("stages", engine)


@pytest.fixture(scope="session")
def interactive(engine):
    return image_of("interactive", engine)


def image_of(target, engine):
    name = call("docker/name", target)[1].strip()
    if call(engine, "image", "inspect", name)[0]:
        pytest.skip(f"{engine} has no image {name}: make image, or make image-test")
    return name


def call(*command, **how):
    """Exit code, stdout and stderr, from the project's folder."""
    given = {"cwd": ROOT, "env": IN_IMAGE, "capture_output": True, "text": True}
    done = subprocess.run(command, **(given | how))
    return done.returncode, done.stdout, without_podmans_own(done.stderr)


def without_podmans_own(printed):
    """Without what podman logs of itself, such as that no systemd is there to look at health."""
    lines = printed.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith('time="'))
