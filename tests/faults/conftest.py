"""Projects to disturb, and what they come to undisturbed."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.faults.forked import Forks
from tests.pipelines import standin
from tests.pipelines.conftest import (
    no_settings_of_the_one_who_runs_the_tests,  # noqa: F401
)

CLEAN = shutil.ignore_patterns(".runs", "tmp", "cache")


@dataclass(frozen=True)
class Origin:
    """A committed project and the hash of the dvc.lock that `dvc repro` alone leaves there."""

    project: Path
    mlflow: Path
    dvc_lock: str

    def copy(self, folder: Path) -> Path:
        """One in which nothing has run, with MLflow's tables made."""
        made = Path(shutil.copytree(self.project, folder / "project", symlinks=True, ignore=CLEAN))
        shutil.copy(self.mlflow, made)
        return made


@pytest.fixture(scope="session")
def forked(prefect_url, tmp_path_factory):
    made = Forks(prefect_url, tmp_path_factory.mktemp("prefect"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def five(committed, empty_mlflow, tmp_path_factory) -> Origin:
    """The stand-in's five stages."""
    return origin(committed, empty_mlflow, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="session")
def two(empty_mlflow, tmp_path_factory) -> Origin:
    """Its train and export alone: each `dvc repro` takes a second of a run."""
    project = standin.project(tmp_path_factory.mktemp("two") / "project")
    values = yaml.safe_load((project / "dvc.yaml").read_text())
    kept = {name: values["stages"][name] for name in ("train", "export")}
    for stage in kept.values():
        stage["deps"].remove("data/aligned.txt")
    (project / "dvc.yaml").write_text(yaml.safe_dump({**values, "stages": kept}))
    standin.commit(project)
    return origin(project, empty_mlflow, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="session")
def sample(empty_mlflow, tmp_path_factory) -> Origin:
    """The project itself with its real stages, its params.yaml that of the sample made small."""
    from pipelines.workspaces import git, overlays

    project = tmp_path_factory.mktemp("sample") / "project"
    for file in git.files(standin.ROOT):
        copy = project / file.relative_to(standin.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    given = {"train": {"epochs": 1}, "align": {"train_sentences": 600}}
    overlays.merge([project / "samples/params.yaml"], project / "params.yaml", given)
    standin.git(project, "init", "--quiet", "--initial-branch", "main")
    standin.commit(project)
    return origin(project, empty_mlflow, tmp_path_factory.mktemp("alone"))


def origin(project: Path, mlflow: Path, folder: Path) -> Origin:
    from pipelines.dvc_repo import lockfile
    from pipelines.dvc_repo import stages as dvc_stages

    path = Path(shutil.copytree(project, folder / "project", symlinks=True, ignore=CLEAN))
    command = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    subprocess.run(command, cwd=path, env=dvc_stages.environment(), check=True)
    return Origin(project, mlflow, lockfile.sha256(path / "dvc.lock"))
