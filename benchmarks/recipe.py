"""What a recipe comes to over several seeds: a rung of docs/experiments.md.

Trains on data/aligned once a seed, by `train` of params.yaml with overlays, and prints and writes
the best dev F1 of each and when it came to which; with --test, for a recipe that was chosen, test
F1 as well. It imports what the stages import, no DVC: for a GPU machine that has nothing else.
Elsewhere sweep by `dvc exp`.
"""

import argparse
import csv
import json
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml

from benchmarks.machine import machine
from pipelines.workspaces.overlays import sections
from stages.model.device import device_figures
from stages.model.tagger import forward_of, load_tagger
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from stages.train import train


def main() -> None:
    """Trains seed after seed; writes what is there after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--set", type=yaml.safe_load, default={}, metavar="'{train: {...}}'")
    parser.add_argument("--seed", type=int, action="append", required=True, metavar="N")
    parser.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    parser.add_argument("--encoder", type=Path, default=Path("data/encoder"))
    parser.add_argument("--test", action="store_true", help="score test too")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for seed in asked.seed:
        of_train = {**asked.set.get("train", {}), "seed": seed}
        given = sections(Path(), asked.params, {**asked.set, "train": of_train})
        params = given.stages.train
        runs.append({"seed": seed, **_run(params, asked.aligned, asked.encoder, asked.test)})
        print(json.dumps(runs[-1]), flush=True)
        found = {
            "machine": machine() | device_figures(torch.device(runs[-1].pop("on"))),
            "train": params.model_dump(exclude={"seed"}),
            "mean": {
                key: _spread([run[key] for run in runs]) for key in runs[0] if key[-2:] == "f1"
            },
            "runs": runs,
        }
        asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found["mean"]))


def _run(params: Train, aligned: Path, encoder: Path, test: bool) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        ner, report, curve = (Path(folder) / name for name in ("ner", "train.json", "train.csv"))
        measured = train(params, aligned, encoder, ner, report, curve)
        best = json.loads(report.read_text(encoding="utf-8"))
        with curve.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["dev_f1"]]
        first, seconds = measured["first_step_seconds"], measured["fit_seconds"]
        per_step = (seconds - first) / best["steps_run"]
        before = measured.get("pretrain_fit_seconds", 0)
        found = {
            "on": measured["device"],
            "dev_f1": round(best["best_dev_f1"], 5),
            "best_step": best["best_step"],
            "seconds": round(before + seconds, 1),
            "memory_mib": {
                name: measured.get(f"gpu_memory_{name}_mib") for name in ("estimate", "peak")
            },
            "curve": [  # seconds, told from the step; dev F1
                [round(before + first + per_step * int(row["step"]), 1), float(row["dev_f1"])]
                for row in rows
            ],
        }
        if test:
            model = load_tagger(ner, torch.device(measured["device"]))
            tags, data = Labels.read(aligned).tags, read_aligned(aligned / "test.parquet")
            predicted = predict(data, forward_of(model), tags, params.tokens_per_batch)[1]
            found["test_f1"] = round(score(data, predicted, tags)["f1"], 5)
    return found


def _spread(figures: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(figures) if len(figures) > 1 else 0.0
    return {"mean": round(statistics.mean(figures), 5), "stdev": round(deviation, 5)}


if __name__ == "__main__":
    main()
