"""Versions in a real registry on SQLite, with what a run leaves for a promotion, in no time."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from mlflow import MlflowClient

from pipelines import settings
from pipelines.names import MODEL
from pipelines.registry import versions
from pipelines.registry.aliases import by_alias
from pipelines.registry.keys import PROGRAMS, tags
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from pipelines.workspaces import overlays
from stages.scoring.predictions import sha256
from tests.pipelines import standin

TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
SENTENCES = 100
TEXT = "李明在北京大学"
GOLD = [[0, 2, "PER"], [3, 5, "LOC"], [5, 7, "ORG"]]
WRONG = [[0, 1, "PER"], [3, 7, "LOC"], [5, 7, "PER"]]
SLICES = """\
{"slice": "last", "type": null, "sentences": [96, 97, 98, 99]}
{"slice": "first_places", "type": "LOC", "sentences": [0, 1]}
{"slice": "empty", "type": null, "sentences": []}
"""
# The stand-in's tagger finds 北京, a LOC.
TEXTS = ["他在北京。", "北京和上海。", "没有。"] * 20


@dataclass
class Registered:
    """A project whose MLflow has some runs, to register as versions."""

    project: Path
    registry: Registry
    settings: settings.Promote
    runs: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> MlflowClient:
        """MLflow's own."""
        return self.registry.client

    def log(self, name: str, right: int, *, labels: list[str] = TAGS, **figures: str) -> None:
        """A run of which `right` of SENTENCES sentences are, each with one entity of each type."""
        folder = self.project / "models" / "onnx"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_text("onnx")
        (folder / "labels.json").write_text(json.dumps({"tags": labels}))
        tags = {"dvc_lock": name, "commit": "c0ffee", "export.cuda_validated": "true"}
        tags |= {
            "export.test_sha256": "7e57",
            "export.onnx_sha256": hashlib.sha256(b"onnx").hexdigest(),
        }
        with mlflow.start_run(
            experiment_id=connection.experiment(self.client, self.project, self.registry.model),
            tags=tags | figures,
        ) as run:
            f1 = {f"export.{t}f1": right / SENTENCES for t in ("", "PER.", "ORG.", "LOC.")}
            parity = {"export.logit_difference_max": 2e-5, "aggregate/calibration_error": 0.02}
            mlflow.log_metrics(f1 | parity | {"export.test_sentences": SENTENCES})
            mlflow.log_text(predictions(right), "reports/predictions.jsonl")
            mlflow.log_text(SLICES, "reports/slices.jsonl")
            versions.log_model(self.project, self.registry.model)
        self.runs[name] = run.info.run_id

    def version(self, run: str, **replaced: str | None) -> str:
        """Registers the run as a new version, the challenger; `replaced` are tags of it."""
        number = versions.register(self.registry, self.client.get_run(self.runs[run]))
        for key, value in replaced.items():
            key = key.replace("__", ".")
            key = key if key.startswith("gate.") else f"{PROGRAMS}{key}"
            if value is None:
                self.client.delete_model_version_tag(self.registry.model, number, key)
            else:
                self.client.set_model_version_tag(self.registry.model, number, key, value)
        return number

    def aliases(self) -> dict[str, str]:
        """Alias → version."""
        found = {a: by_alias(self.registry, a) for a in ("champion", "previous", "challenger")}
        return {alias: version for alias, version in found.items() if version}

    def tags(self, version: str) -> dict[str, str]:
        """Tag → value, without the prefix of those for programs."""
        return tags(self.client.get_model_version(self.registry.model, version))

    def forget(self) -> None:
        """Deletes all versions; the runs stay."""
        if self.client.search_registered_models(f"name = '{self.registry.model}'"):
            self.client.delete_registered_model(self.registry.model)


def project(folder: Path, database: Path) -> Registered:
    """A stand-in project with the runs `good`, `better` and `worse`, quick to promote."""
    standin.project(folder)
    shutil.copy(database, folder)
    registry = Registry(connection.connect(folder), MODEL)
    found = overlays.sections(folder).promote
    quick = found.latency.model_copy(update={"characters": [16], "texts": 20})
    made = Registered(folder, registry, found.model_copy(update={"latency": quick}))
    for name, right in (("good", 96), ("better", 98), ("worse", 93)):
        made.log(name, right)
    return made


def predictions(right: int) -> str:
    """Of SENTENCES sentences with an entity of each type the first so many are right."""
    rows = [{"gold": GOLD, "predicted": GOLD}] * right
    rows += [{"gold": GOLD, "predicted": WRONG, "text": TEXT}] * (SENTENCES - right)
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def write_test_split(path: Path) -> tuple[str, str]:
    """Writes TEXTS as align would, in two windows the first; gives its MD5 and `test_sha256`."""
    rows, cells, gold = [], [], []
    for number, text in enumerate(TEXTS):
        labels = [0] * len(text)
        for name in ("北京", "上海"):
            at = text.find(name)
            if at >= 0:
                labels[at : at + 2] = [5, 6]
        cells.append(list(text))
        gold.append([TAGS[label] for label in labels])
        for start, stop in [(0, 3), (3, 5)] if number == 0 else [(0, len(text))]:
            rows.append(
                {
                    "sentence": number,
                    "cells": cells[-1][start:stop],
                    "input_ids": [0] * (stop - start + 2),
                    "labels": [-100, *labels[start:stop], -100],
                }
            )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return hashlib.md5(path.read_bytes()).hexdigest(), sha256(cells, gold)  # noqa: S324


def dvc_lock(md5: str) -> str:
    """As the export stage leaves it."""
    dep = {"path": "data/aligned/test.parquet", "md5": md5}
    return yaml.safe_dump({"schema": "2.0", "stages": {"export": {"cmd": "x", "deps": [dep]}}})
