"""Several versions in one process: each answers with the code that was registered with it."""

import re
import shutil
import sys
from pathlib import Path

import mlflow
import pytest

from pipelines.names import MODEL
from pipelines.registry import versions
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from stages.scoring import temperature


@pytest.fixture(scope="module")
def both(registered: Path, expected, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 with the code of this repository, version 2 with code that is sure of all."""
    project = tmp_path_factory.mktemp("both") / "project"
    shutil.copytree(registered, project)
    code = project / "stages" / "scoring" / "temperature.py"
    text = code.read_text()
    found = re.search(r"\n    def score\(.*?\n        \"\"\".*?\"\"\"\n", text, re.DOTALL)
    code.write_text(text.replace(found[0], f"{found[0]}        return 2.0\n"))
    client = connection.connect(project)
    [experiment] = client.search_experiments(filter_string="name = 'registered'")
    tags = {"dvc_lock": "1" * 64, "commit": "none"}
    with mlflow.start_run(experiment_id=experiment.experiment_id, tags=tags) as run:
        versions.log_model(project, MODEL)
        assert versions.register(Registry(client, MODEL), client.get_run(run.info.run_id)) == "2"
    return project


def scores(model, texts) -> set[float]:
    return {entity["score"] for row in model.predict(list(texts)) for entity in row["entities"]}


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_each_version_runs_its_own_code(both: Path, expected, order: tuple[str, str]) -> None:
    connection.connect(both)
    path, ours = list(sys.path), set(named_stages())
    loaded = {number: mlflow.pyfunc.load_model(f"models:/{MODEL}/{number}") for number in order}
    for _ in range(2):
        assert scores(loaded["2"], expected) == {2.0}
        assert max(scores(loaded["1"], expected)) <= 1.0
    assert (sys.path, set(named_stages())) == (path, ours)
    assert sys.modules["stages.scoring.temperature"] is temperature


def test_what_is_served_imports_its_neighbours_relatively(both: Path) -> None:
    connection.connect(both)
    before = set(sys.modules)
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}/1")
    package = type(model.unwrap_python_model().tagger).__module__.partition(".")[0]
    files = [Path(sys.modules[name].__file__ or "") for name in {*sys.modules} - before
             if name.startswith(f"{package}.")]  # fmt: skip
    assert {"tagger.py", "decode.py", "hashing.py"} < {file.name for file in files}
    absolute = re.compile(r"^\s*(from|import) stages\b", re.MULTILINE)
    assert [file for file in files if absolute.search(file.read_text(encoding="utf-8"))] == []


def named_stages() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "stages"]
