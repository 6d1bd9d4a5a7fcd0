"""Names of the registered model, the experiment, a result in MLflow and the program."""

import sys
from dataclasses import dataclass
from pathlib import Path

MODEL = "msra-ner"
EXPERIMENT = "msra-ner"
REGISTER_FIRST = "Register a version first: `python -m pipelines run`."
LAUNCHED = Path(sys.argv[0]).name == "msra-ner"  # bin/msra-ner says by what path it was called
PROGRAM = "msra-ner" if LAUNCHED else "python -m pipelines"


@dataclass(frozen=True)
class Logged:
    """Where a result is in MLflow; `already_logged` if the same result was there before."""

    run_id: str
    version: str
    already_logged: bool
