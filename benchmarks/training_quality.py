"""Does the fast path cost F1? Ours and the tutorial's loop on the same data, seed by seed.

Trains each as often as there are seeds, on all of `--aligned`, and takes the best dev F1 of each
run. `ours` is stages/train.py with `train` of params.yaml and the overlay; `tutorial` is
benchmarks/tutorial.py for as many epochs, evaluated as often. Writes results/training_quality.json.
"""

import argparse
import csv
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml

from benchmarks.tutorial import tutorial_loop
from stages.ner.aligned import read_aligned
from stages.ner.labels import Labels
from stages.ner.metrics import predict, score
from stages.ner.model import forward_of, make_repeatable, new_tagger
from stages.params import Train
from stages.section import read
from stages.train import train

TUTORIAL_RATE = 5e-5  # what tutorials take for 16 sentences a step


def main() -> None:
    """Trains what is asked for and adds it to the file; compares when both are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loop", choices=["ours", "tutorial"])
    parser.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    parser.add_argument("--encoder", type=Path, default=Path("data/encoder"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of train")
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file a loop")
    asked = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, value in (s.split("=") for s in asked.set)}
    params = read(Train, asked.params).model_copy(update=changes)
    runs = []
    for seed in asked.seed:
        made = params.model_copy(update={"seed": seed})
        run = (ours if asked.loop == "ours" else tutorial)(made, asked.aligned, asked.encoder)
        runs.append({"seed": seed, **run})
        print(json.dumps(runs[-1]), flush=True)
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "params": params.model_dump(exclude={"seed"}),
        "runs": runs,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def ours(params: Train, aligned: Path, encoder: Path) -> dict[str, Any]:
    """One run of the stage; when each evaluation came is told from its step."""
    with TemporaryDirectory() as folder:
        out = Path(folder)
        measured = train(
            params, aligned, encoder, out / "ner", out / "train.json", out / "train.csv"
        )
        report = json.loads((out / "train.json").read_text(encoding="utf-8"))
        with (out / "train.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["dev_f1"]]
    first, seconds = measured["first_step_seconds"], measured["fit_seconds"]
    per_step = (seconds - first) / report["steps_run"]
    return {
        "dev_f1": report["best_dev_f1"],
        "seconds": seconds,
        "curve": [
            [round(first + per_step * int(row["step"]), 1), float(row["dev_f1"])] for row in rows
        ],
    }


def tutorial(params: Train, aligned: Path, encoder: Path) -> dict[str, Any]:
    """One run of the tutorial's loop."""
    make_repeatable(params.seed, params.cpu_threads, False)
    data, dev = (read_aligned(aligned / f"{split}.parquet") for split in ("train", "dev"))
    labels = Labels.read(aligned)
    model = new_tagger(encoder, labels).cuda()
    steps = -(-len(data.input_ids) // 16) * params.epochs
    every = -(-steps // (params.epochs * params.evals_per_epoch))
    curve: list[list[float]] = []
    began = time.monotonic()
    loop = tutorial_loop(model, data, params.epochs, TUTORIAL_RATE, params.seed)
    for step, _ in enumerate(loop, start=1):
        if step % every == 0 or step == steps:
            model.eval()
            forward = forward_of(model)
            found = predict(dev, forward, labels.tags, params.tokens_per_batch)[1]
            f1 = score(dev, found, labels.tags)["f1"]
            curve.append([round(time.monotonic() - began, 1), f1])
    seconds = round(time.monotonic() - began, 1)
    return {"dev_f1": max(f1 for _, f1 in curve), "seconds": seconds, "curve": curve}


if __name__ == "__main__":
    main()
