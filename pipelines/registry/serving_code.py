"""The code and packages that a version serves with: what a registered model carries."""

import hashlib
import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.hashing import checksums
from stages.contract.imports import import_closure

PYFUNC = "pipelines/registry/pyfunc_model.py"
IMPORTED = ("stages.contract.hashing", "stages.serving.tagger")  # by PYFUNC
# What these import; no torch.
PACKAGES = ("mlflow", "numpy", "onnxruntime-gpu", "onnxruntime", "pandas", "tokenizers")


def pyfunc(workspace: Path) -> Path:
    """The file that MLflow runs to load the model, of the workspace's commit.

    Raises:
        PipelineError: if the commit has none.
    """
    path = workspace / PYFUNC
    if not path.is_file():
        raise PipelineError(
            f"The run's commit has no {PYFUNC}, so its model could not be registered: run a newer"
            " commit, or use the release that this commit belongs to"
        )
    return path


def copy_stages(workspace: Path, folder: Path) -> Path:
    """Copies the modules of `stages` that serving imports to `folder`/stages, which it returns.

    Raises:
        PipelineError: if one of them cannot be found or read.
    """
    try:
        files = import_closure(workspace, *IMPORTED)
    except StageError as error:
        raise PipelineError(f"The model cannot be registered: {error}") from None
    for file in files:
        copy = folder / file.relative_to(workspace)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return folder / "stages"


def requirements() -> list[str]:
    """The packages that serving needs, in the installed versions."""
    pinned = []
    for name in PACKAGES:
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue  # only one of the two builds of ONNX Runtime is installed
    return pinned


def sha256(workspace: Path) -> str:
    """SHA-256 of all of this: the part of a version's identity that is not in its dvc.lock.

    Raises:
        PipelineError: as above.
    """
    with TemporaryDirectory() as folder:
        code = checksums(copy_stages(workspace, Path(folder)))
    content = [pyfunc(workspace).read_text(encoding="utf-8"), code, requirements()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
