"""A backup of the project's own MLflow, by the commands of docs/operations.md."""

import shutil
from pathlib import Path

import pytest

from tests.pipelines import registered, standin
from tests.pipelines.team.team_server import documented


@pytest.mark.services
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs apt-get install sqlite3")
def test_a_backup_of_sqlite_has_it_all(tmp_path: Path, empty_mlflow: Path) -> None:
    made = registered.project(tmp_path / "project", empty_mlflow)
    made.version("good")
    documented("Back up SQLite", made.project)
    (made.project / "mlflow.db").unlink()
    shutil.rmtree(made.project / "mlartifacts")
    documented("Restore SQLite", made.project)
    assert '"start": 2, "end": 4' in standin.pipelines(made.project, "predict", "我在北京").stdout
