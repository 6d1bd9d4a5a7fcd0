"""Trains a recipe with several seeds: a row of docs/experiments.md.

Trains on data/aligned with each seed, by `train` of params.yaml with overlays. Prints and writes
the best dev F1 of each run and its dev F1 over time; with --test, for a recipe already chosen, test
F1 too. It imports only what the stages import, without DVC, for a GPU machine that has no more.
Elsewhere use `dvc exp`.
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
from stages.model.decode import Decoder
from stages.model.device import device_figures
from stages.model.tagger import forward_of, load_tagger
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from stages.train import train


def main() -> None:
    """Trains with each seed; writes the results so far after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--set", type=yaml.safe_load, default={}, metavar="'{train: {...}}'")
    parser.add_argument("--seed", type=int, action="append", required=True, metavar="N")
    parser.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    parser.add_argument("--encoder", type=Path, default=Path("data/encoder"))
    parser.add_argument("--test", action="store_true", help="score test too")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for seed in arguments.seed:
        train_values = {**arguments.set.get("train", {}), "seed": seed}
        overrides = {**arguments.set, "train": train_values}
        params = sections(Path(), arguments.params, overrides).stages.train
        runs.append(
            {"seed": seed, **_run(params, arguments.aligned, arguments.encoder, arguments.test)}
        )
        print(json.dumps(runs[-1]), flush=True)
        result = {
            "machine": machine() | device_figures(torch.device(runs[-1].pop("device"))),
            "train": params.model_dump(exclude={"seed"}),
            "mean": {
                key: _spread([run[key] for run in runs]) for key in runs[0] if key[-2:] == "f1"
            },
            "runs": runs,
        }
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["mean"]))


def _run(params: Train, aligned: Path, encoder: Path, test: bool) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        ner, report, curve = (Path(folder) / name for name in ("ner", "train.json", "train.csv"))
        measured = train(params, aligned, encoder, ner, report, curve)
        best = json.loads(report.read_text(encoding="utf-8"))
        with curve.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["dev_f1"]]
        first, seconds = measured["first_step_seconds"], measured["fit_seconds"]
        per_step = (seconds - first) / best["steps_run"]
        pretrain_seconds = measured.get("pretrain_fit_seconds", 0)
        run = {
            "device": measured["device"],
            "dev_f1": round(best["best_dev_f1"], 5),
            "best_step": best["best_step"],
            "seconds": round(pretrain_seconds + seconds, 1),
            "tokens_per_s": measured["tokens_per_s"],
            "memory_mib": {
                name: measured.get(f"gpu_memory_{name}_mib") for name in ("estimate", "peak")
            },
            "curve": [  # seconds, estimated from the step; dev F1
                [
                    round(pretrain_seconds + first + per_step * int(row["step"]), 1),
                    float(row["dev_f1"]),
                ]
                for row in rows
            ],
        }
        if test:
            model = load_tagger(ner, torch.device(measured["device"]))
            tags, data = Labels.read(aligned).tags, read_aligned(aligned / "test.parquet")
            decoder = Decoder.read(ner, tags)
            predicted = predict(data, forward_of(model), decoder, params.tokens_per_batch)[1]
            run["test_f1"] = round(score(data, predicted, tags)["f1"], 5)
    return run


def _spread(values: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 5), "stdev": round(deviation, 5)}


if __name__ == "__main__":
    main()
