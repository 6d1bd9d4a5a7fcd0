"""Loads a module of stages/contract without importing `stages`.

A registered model may bring its own `stages`, and `predict` must not import the project's before.
"""

import importlib.util
from pathlib import Path
from typing import Any


def load(name: str) -> Any:
    """The module stages/contract/NAME.py, which imports nothing else from stages/."""
    path = Path(__file__).parents[2] / "stages" / "contract" / f"{name}.py"
    spec: Any = importlib.util.spec_from_file_location(f"pipelines_{name}", path)
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
