"""Names the registered model, the experiment, a result in MLflow and the present interpreter."""

import sys
from dataclasses import dataclass
from pathlib import Path

MODEL = "msra-ner"
EXPERIMENT = "msra-ner"


@dataclass(frozen=True)
class Logged:
    """Where a result is in MLflow; `already_logged` if an equal one was there before."""

    run_id: str
    version: str
    already_logged: bool


def python_command() -> str:
    """The running interpreter as a user would write it in the present folder."""
    own = Path(".venv", "bin")
    return str(own / "python") if Path.cwd() / own == Path(sys.executable).parent else "python"
