"""What the stand-in's run is to leave in MLflow, and how to look at what is there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow import MlflowClient

from pipelines.names import MODEL

SCORES = {"precision": 0.5, "recall": 1.0, "f1": 0.625, "support": 4.0}
METRICS = {
    "aggregate/calibration_error": 0.02,
    "aggregate/dev_f1": 0.75,
    "aggregate/onnx_f1": 0.5,
    "aggregate/train_seconds": 1.5,
    **{f"aggregate/{key}": value for key, value in SCORES.items()},
    "align/entities_in": 7.0,
    "align/entities_kept": 7.0,
    "align/unknown_rate": 0.25,
    "train/best_step": 2.0,
    "train/dev_f1": 0.75,
    "train/loss": 0.25,
    "train/lr": 0.0002,
    **{f"export/{type_}.f1": 0.5 for type_ in ("PER", "ORG", "LOC")},
    "export/logit_difference_max": 0.00001,
    "export/test_sentences": 3.0,
    **{f"slices/long.{key}": value for key, value in SCORES.items()},
    "slices/long.sentences": 2.0,
    **{f"test/{t}.{k}": v for t in ("PER", "ORG", "LOC") for k, v in SCORES.items()},
}
ARTIFACTS = {
    "checksums.sha256",
    "dvc.lock",
    "dvc.yaml",
    "measured/train.json",
    "packages.txt",
    "params.yaml",
    "reports/align.json",
    "reports/confusion.csv",
    "reports/dev_f1.svg",
    "reports/errors.jsonl",
    "reports/export.json",
    "reports/index.html",
    "reports/loss.svg",
    "reports/metrics.json",
    "reports/predictions.jsonl",
    "reports/slices.jsonl",
    "reports/train.csv",
    "reports/train.json",
}


OF_FLOWS = {"measured/system.csv", "stages.log"}  # of a run by the flow


def not_of_the_machine(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that are the same on each machine; the others must be there."""
    system = {key for key in metrics if key.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= system
    return {key: value for key, value in metrics.items() if key not in system}


def runs(client: MlflowClient, model: str = MODEL) -> list:
    """The runs that are not deleted."""
    experiment = client.get_experiment_by_name(model)
    return client.search_runs([experiment.experiment_id])


def versions(client: MlflowClient) -> list[str]:
    """The registered versions."""
    return sorted(str(v.version) for v in client.search_model_versions(f"name = '{MODEL}'"))


def artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    """The paths of all artifacts of a run."""
    found = set()
    for file in client.list_artifacts(run_id, folder):
        found |= artifacts(client, run_id, file.path) if file.is_dir else {file.path}
    return found


@contextmanager
def no_room(project: Path, table: str) -> Iterator[None]:
    """The project's database refuses a description in the table."""
    refuse = f"BEFORE UPDATE OF description ON {table} BEGIN SELECT RAISE(ABORT, 'no room'); END"
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        database.execute(f"CREATE TRIGGER no_room {refuse}")
        try:
            yield
        finally:
            database.execute("DROP TRIGGER no_room")
