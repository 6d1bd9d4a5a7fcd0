"""Names: of the program, of a model that was given none, and of a result in MLflow."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

# The program's: its command, and what its Prefect servers have, which all its models share.
OURS = "msra-ner"
MODEL = "msra-ner"  # the registered model of a params.yaml without run.model, as of older commits
# What MLflow takes in an address, models:/NAME@champion, and a person in a command.
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHIFTED = f"{OURS}.watch.shifted"  # Prefect's event: what is served is another text than before
REGISTER_FIRST = "Register a version first: `python -m pipelines run`."
LAUNCHED = Path(sys.argv[0]).name == OURS  # bin/msra-ner says by what path it was called
PROGRAM = OURS if LAUNCHED else "python -m pipelines"


@dataclass(frozen=True)
class Logged:
    """Where a result is in MLflow; `already_logged` if the same result was there before."""

    run_id: str
    model: str
    version: str
    already_logged: bool
