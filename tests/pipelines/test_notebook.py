"""The example notebook, run from top to bottom against a champion with its reports."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docker/notebooks/ner.ipynb"


@pytest.mark.slow  # 8 s: a kernel
def test_the_notebook_tags_shows_errors_and_plots(registered, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for folder in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(folder, str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(notebook, resources={"metadata": {"path": str(registered)}})
    client.execute()
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook.cells}
    assert outputs["load"][-1]["text"].startswith("version 1 of run ")
    tagged, errors = (outputs[name][-1]["data"]["text/plain"] for name in ("tag", "errors"))
    assert "江泽民在北京会见了联合国秘书长安南。" in tagged
    assert "type" in tagged
    assert "sentence" in errors
    assert any("image/png" in output.get("data", {}) for output in outputs["curve"])


def test_the_notebook_is_kept_without_outputs():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
