"""A project that has a registered model and nothing else."""

import shutil
from pathlib import Path

import mlflow

from pipelines.names import MODEL
from pipelines.registry import versions
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from tests.conftest import ROOT
from tests.pipelines.standin import PYFUNC


def register(project: Path, onnx: Path, reports: list[Path]) -> None:
    """Registers what `export` wrote to `onnx` as a run of `project` would, as champion."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "stages", project / "stages")
    (project / PYFUNC).parent.mkdir(parents=True)
    shutil.copy(ROOT / PYFUNC, project / PYFUNC)
    shutil.copytree(onnx, project / "models/onnx")
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    client = connection.connect(project)
    experiment = connection.experiment(client, project, "registered")
    tags = {"dvc_lock": "0" * 64, "commit": "none"}
    with mlflow.start_run(experiment_id=experiment, tags=tags) as run:
        versions.log_model(project, MODEL)
        for report in reports:
            mlflow.log_artifact(str(report), "reports")
        version = versions.register(Registry(client, MODEL), client.get_run(run.info.run_id))
    client.set_registered_model_alias(MODEL, "champion", version)
