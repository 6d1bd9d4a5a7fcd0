"""The tiny model as champion of a project that has nothing else."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest

from pipelines import registry, tracking
from tests.conftest import ROOT
from tests.tiny import Tiny


@pytest.fixture(scope="session")
def registered(tiny: Tiny, empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an mlflow.db whose `msra-ner` has one version, logged as a run logs it."""
    project = tmp_path_factory.mktemp("registered")
    shutil.copy(empty_mlflow, project)
    shutil.copytree(tiny.onnx, project / "models/onnx")
    register(project, ROOT, project)
    return project


def register(project: Path, code: Path, made: Path) -> None:
    """Registers the model of the workspace `made`, with dvc.yaml and stages/ of `code`."""
    shutil.copy(code / "dvc.yaml", made)
    shutil.copytree(code / "stages", made / "stages", dirs_exist_ok=True)
    (made / ".dvc").mkdir(exist_ok=True)
    (made / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    client = tracking.connect(project)
    experiment = client.create_experiment("registered", (project / "mlartifacts").as_uri())
    tags = {"dvc_lock": "0" * 64, "commit": "none"}
    with mlflow.start_run(experiment_id=experiment, tags=tags) as run:
        registry.log_model(made)
        version = registry.register(client, client.get_run(run.info.run_id))
    client.set_registered_model_alias(registry.MODEL, "champion", version)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
