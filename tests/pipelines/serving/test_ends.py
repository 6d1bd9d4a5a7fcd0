"""How `pipelines serve` ends before it serves."""

import shutil
from pathlib import Path

import pytest

from pipelines.names import MODEL, OURS
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from tests.pipelines.champion import register
from tests.pipelines.served import Server
from tests.pipelines.serving.followed import log_version
from tests.pipelines.workspaces.test_process_group import wait_for

SLOW = """
import os, pathlib, time
if "LOADING" in os.environ:  # not where it is registered
    pathlib.Path(os.environ["LOADING"]).touch()
    time.sleep(600)
"""


@pytest.mark.slow  # eight seconds for a server that never serves
def test_sigterm_while_it_loads_a_version_is_no_failure_of_it(tiny, empty_mlflow, tmp_path: Path):
    project, loading, temporary = (tmp_path / name for name in ("project", "loading", "tmp"))
    project.mkdir()
    temporary.mkdir()
    shutil.copy(empty_mlflow, project)
    register(project, tiny.onnx, [])
    with (project / "stages/serving/tagger.py").open("a") as code:
        code.write(SLOW)
    registry = Registry(connection.connect(project), MODEL)
    log_version(registry, project, tiny.report("predictions.jsonl"), "2")
    server = Server(project, tmp_path / "log", "--pin", "2",
                    TMPDIR=str(temporary), LOADING=str(loading))  # fmt: skip
    wait_for(loading.exists, "the version is loaded", 60)
    assert list(temporary.glob(f"{OURS}-serve-*"))
    assert server.stop() == 143
    assert server.log.read_text() == ""
    assert not list(temporary.glob(f"{OURS}-serve-*"))
