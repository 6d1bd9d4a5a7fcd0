"""Names of metrics and tags in MLflow: what a person reads is apart from what only programs read.

A figure has one name in all our code, that of its report: `test.PER.f1`.
"""

import re

from mlflow.entities.model_registry import ModelVersion

# MLflow draws a section of charts for each prefix before the last slash, sorted by name, and shows
# what has no prefix after all of them; `aggregate` comes before `align`.
HEADLINES = {
    "test.f1": "f1",
    "test.f1_low": "f1_low",
    "test.f1_high": "f1_high",
    "test.precision": "precision",
    "test.recall": "recall",
    "test.support": "support",
    "test.ece": "calibration_error",
    "train.best_dev_f1": "dev_f1",
    "export.f1": "onnx_f1",
    "measured.train.seconds": "train_seconds",
}
METRICS = {figure: f"aggregate/{name}" for figure, name in HEADLINES.items()}
FIGURES = {metric: figure for figure, metric in METRICS.items()}
PROGRAMS = "ner."  # prefix of a version's tags that only programs read


def metric(figure: str) -> str:
    """A metric's name in MLflow: `aggregate/f1` of `test.f1`, `test/PER.f1` of `test.PER.f1`."""
    name = METRICS.get(figure) or figure.replace(".", "/", 1)
    return re.sub(r"[^\w\-. /:]", "_", name)


def figure(metric: str) -> str:
    """The figure of a metric, also of a run from before the prefixes."""
    return FIGURES.get(metric) or re.sub(r"^(\w+)/", r"\1.", metric)


def named(version: ModelVersion) -> str:
    """The version in a message: `version 3 of msra-ner`."""
    return f"version {version.version} of {version.name}"


def tags(version: ModelVersion) -> dict[str, str]:
    """The version's tags without the prefix, which older versions do not have."""
    found: dict[str, str] = version.tags
    mine = {k.removeprefix(PROGRAMS): v for k, v in found.items() if k.startswith(PROGRAMS)}
    return found | mine
