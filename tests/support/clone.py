"""A clone of this repository as it stands, with params.yaml set to a short sample job."""

import shutil
import subprocess
from pathlib import Path

import yaml
from dvc.config import merge

from tests.conftest import ROOT

# Enough for a test F1 above 0.3.
SHORT = {
    "align": {"train_sentences": 1000},
    "train": {
        "epochs": 1,
        "learning_rate": 0.006,
        "tokens_per_step": 512,
        "tokens_per_batch": 512,
    },
    "evaluate": {
        "tokens_per_batch": 2048,
        "robustness": {"sentences": 20, "document_characters": 1000},
    },
    "export": {"tokens_per_batch": 1024},
}


def clone(folder: Path) -> Path:
    """Makes it, in a Git repository without a commit: half a minute of `dvc repro` on one core."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    merge(params, yaml.safe_load((folder / "samples/params.yaml").read_text(encoding="utf-8")))
    merge(params, SHORT)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    commit(folder, "init", "-q")
    return folder


def commit(folder: Path, *command: str) -> None:
    """Runs Git there, as somebody."""
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *command], cwd=folder, check=True)
