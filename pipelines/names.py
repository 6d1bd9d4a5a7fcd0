"""Names of the registered model, the experiment and a result in MLflow."""

from dataclasses import dataclass

MODEL = "msra-ner"
EXPERIMENT = "msra-ner"
REGISTER_FIRST = "Register a version first: `python -m pipelines run`."


@dataclass(frozen=True)
class Logged:
    """Where a result is in MLflow; `already_logged` if the same result was there before."""

    run_id: str
    version: str
    already_logged: bool
