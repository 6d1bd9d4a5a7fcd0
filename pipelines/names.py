"""Names of the registered model, the experiment, a result in MLflow and the interpreter."""

import sys
from dataclasses import dataclass
from pathlib import Path

MODEL = "msra-ner"
EXPERIMENT = "msra-ner"
REGISTER_FIRST = "Register a version first: `python -m pipelines run`."


@dataclass(frozen=True)
class Logged:
    """Where a result is in MLflow; `already_logged` if the same result was there before."""

    run_id: str
    version: str
    already_logged: bool


def python_command() -> str:
    """The running interpreter, as a user would type it in the current folder."""
    own = Path(".venv", "bin")
    return str(own / "python") if Path.cwd() / own == Path(sys.executable).parent else "python"
