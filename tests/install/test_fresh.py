import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_everything_that_is_imported_can_be_installed(tmp_path: Path):
    """Needs the package index, minutes and 4 GB (9 GB with CUDA)."""
    env = os.environ | {"VENV": str(tmp_path / "venv"), "PYTHON": sys._base_executable}
    subprocess.run([ROOT / "bin/install"], env=env, check=True)
    names = (
        "torch, onnxruntime, dvc, mlflow, prefect, transformers, datasets, seqeval, nvidia_ml_py"
    )
    code = f"import {names.replace('nvidia_ml_py', 'pynvml')}; print(torch.ones(2).sum().item())"
    said = subprocess.check_output([tmp_path / "venv/bin/python", "-I", "-c", code], text=True)
    assert said == "2.0\n"
