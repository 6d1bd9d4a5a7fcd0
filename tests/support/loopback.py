"""What takes seconds to make, once for all tests of a process: project, servers, a registry."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.pipelines import standin
from tests.support.once import once
from tests.tiny import Tiny


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standin.project(tmp_path_factory.mktemp("standin") / "project")


@pytest.fixture
def project(committed: Path, tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns(".runs", "tmp", "cache")
    return Path(shutil.copytree(committed, tmp_path / "project", symlinks=True, ignore=ignore))


@pytest.fixture
def short(project: Path) -> Path:
    """Such a copy with one stage, for a test of what comes before the stages or after them."""
    standin.in_one_stage(project)
    standin.commit(project)
    return project


@pytest.fixture(scope="session")
def prefect_url() -> str:
    """One Prefect server for all tests, started as a run starts its own, but with automations."""
    from pipelines.flows import local_server

    folder = Path(tempfile.mkdtemp(prefix="prefect-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED", "true")
        wait = local_server.start(folder)
    wait()
    return os.environ["PREFECT_API_URL"]


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them, which take seconds to make."""
    from pipelines.tracking import connection

    def make(folder: Path) -> None:
        connection.connect(folder).search_experiments()

    return once(tmp_path_factory, "mlflow", make) / "mlflow.db"


@pytest.fixture(scope="session")
def registered(tiny: Tiny, empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an mlflow.db in which the tiny model is the champion `msra-ner` version 1."""
    from tests.pipelines import champion

    def make(folder: Path) -> None:
        shutil.copy(empty_mlflow, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)  # or it would register there
            champion.register(
                folder, tiny.onnx, [tiny.report("errors.jsonl"), tiny.report("train.csv")]
            )

    return once(tmp_path_factory, "registered", make)
