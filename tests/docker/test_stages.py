"""All five stages of a short sample job, in the image and in the environment at hand."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.config import merge

from tests.conftest import ROOT
from tests.docker.conftest import IN_IMAGE

pytestmark = [pytest.mark.container, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The project's files with params.yaml set to a short sample job; no stage has run."""
    folder = tmp_path_factory.mktemp("job") / "project"
    ignored = shutil.ignore_patterns(".git", ".venv", ".runs", "mlartifacts", "cache", "tmp")
    made = {"data", "models", "reports", ".measured", "dvc.lock"}
    shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
    for name in made:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    merge(params, yaml.safe_load((folder / "samples/params.yaml").read_text(encoding="utf-8")))
    params["align"]["train_sentences"] = 1500
    params["train"]["epochs"] = 2
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def repro(folder, **env):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "dvc", "repro"]
    env = IN_IMAGE | {"PATH": path} | env
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {p.stem: json.loads(p.read_text()) for p in (folder / ".measured").glob("*.json")}
    return (folder / "dvc.lock").read_text(encoding="utf-8"), measured


# With links, what a stage reads lies in DVC's cache, outside the workspace.
@pytest.mark.parametrize("links", ["copy", "symlink"])
def test_the_image_gives_the_same_bytes(job, tmp_path, image, links):
    inside = shutil.copytree(job, tmp_path / "inside")
    outside = shutil.copytree(job, tmp_path / "outside")
    config = f"[core]\n    analytics = false\n[cache]\n    type = {links}\n"
    (inside / ".dvc/config.local").write_text(f"{config}    dir = {tmp_path}/cache\n")
    lock, measured = repro(inside)
    lock_outside, measured_outside = repro(outside, NER_RUNTIME="local")
    assert lock == lock_outside
    assert len(yaml.safe_load(lock)["stages"]) == len(measured) == 5
    images = {stage["image"] for stage in measured.values()}
    assert len(images) == 1
    assert images.pop().startswith("sha256:")
    assert not any("image" in stage for stage in measured_outside.values())
