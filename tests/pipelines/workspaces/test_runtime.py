"""Where stages work, and whether they find the GPU that they need."""

import shutil
from pathlib import Path

import pytest
import torch

from pipelines.errors import PipelineError
from pipelines.workspaces import overlays, runtime
from pipelines.workspaces.runtime import Runtime
from tests.conftest import ROOT

LOCAL, IMAGE = Runtime("local", "why"), Runtime("image", "why")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.delenv("NER_RUNTIME")
    monkeypatch.setenv("NER_ENGINE", str(tmp_path / "engine"))
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    return tmp_path


def engine(folder: Path, script: str) -> None:
    (folder / "engine").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "engine").chmod(0o755)


def test_the_image_if_it_is_there_else_this_environment(folder: Path, monkeypatch) -> None:
    assert runtime.choose(folder) == (
        "local",
        f"no container engine answers (asked: {folder}/engine)",
    )
    engine(folder, "[ $1 = info ]")
    assert runtime.choose(folder).kind == "local"
    engine(folder, "exit 0")
    assert runtime.choose(folder).kind == "image"
    monkeypatch.setenv("NER_RUNTIME", "local")
    assert runtime.choose(folder) == ("local", "NER_RUNTIME says so")
    monkeypatch.setenv("NER_RUNTIME", "here")
    with pytest.raises(PipelineError, match="NER_RUNTIME is 'here': set it to local or image"):
        runtime.choose(folder)


def test_it_is_chosen_once_a_run(folder: Path) -> None:
    assert runtime.fix(folder)().kind == "local"
    engine(folder, "exit 0")
    assert runtime.fix(folder)() == ("local", "NER_RUNTIME says so")


def test_a_gpu_that_is_missing_is_named_with_what_needs_it(monkeypatch, tmp_path: Path) -> None:
    real, sample = overlays.sections(ROOT), overlays.sections(ROOT, [ROOT / "samples/params.yaml"])
    monkeypatch.setattr(runtime, "DRIVERS", [tmp_path / "version"])
    runtime.require_device(sample, lambda: LOCAL)
    with pytest.raises(PipelineError, match=r"no NVIDIA driver, and params\.yaml has train\."):
        runtime.require_device(real, lambda: IMAGE)
    with pytest.raises(
        PipelineError, match=r"has export\.require_cuda: true: run on a machine wit"
    ):
        runtime.require_device(real, lambda: IMAGE, lambda: ["align", "export"])
    runtime.require_device(real, lambda: IMAGE, lambda: ["align"])
    (tmp_path / "version").touch()
    runtime.require_device(real, lambda: IMAGE)
    if "+cpu" in torch.__version__:
        with pytest.raises(PipelineError, match="This environment has torch's CPU build, and"):
            runtime.require_device(real, lambda: LOCAL)
