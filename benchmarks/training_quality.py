"""Does the fast path cost F1? Ours and the tutorial's loop on the same data, seed by seed.

The best dev F1 of each run on all of `--aligned`: ours by benchmarks/recipe.py; `tutorial` trains
benchmarks/tutorial.py's loop, evaluated as often. From the files that both wrote `compare` makes
results/training_quality.json and prints it.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from benchmarks.machine import machine
from benchmarks.tutorial import tutorial_loop
from stages.contract.section import read
from stages.model.device import choose_device, device_figures, make_repeatable
from stages.model.tagger import forward_of, new_tagger
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned

RESULTS = Path(__file__).parent / "results"
TUTORIAL_RATE = 5e-5  # what tutorials take for 16 sentences a step
TARGET_BELOW = 0.002  # what the tutorial's loop comes to is the target, less this


def main() -> None:
    """Trains and writes the file; or compares two."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("tutorial")
    command.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    command.add_argument("--encoder", type=Path, default=Path("data/encoder"))
    command.add_argument("--epochs", type=int, default=3, help="3 is what tutorials take")
    command.add_argument("--seed", type=int, action="append", required=True)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=trained)
    command = commands.add_parser("compare")
    command.add_argument("ours", type=Path)
    command.add_argument("tutorial", type=Path, nargs="+")
    command.add_argument("--out", type=Path, default=RESULTS / "training_quality.json")
    command.set_defaults(run=compare)
    asked = parser.parse_args()
    asked.run(asked)


def trained(asked: argparse.Namespace) -> None:
    """The tutorial's loop, seed by seed."""
    params = read(Train, Path("params.yaml")).model_copy(update={"epochs": asked.epochs})
    runs = []
    for seed in asked.seed:
        made = params.model_copy(update={"seed": seed})
        runs.append({"seed": seed, **tutorial(made, asked.aligned, asked.encoder)})
        print(json.dumps(runs[-1]), flush=True)
        found = {
            "machine": machine() | device_figures(choose_device("auto", "")),
            "epochs": asked.epochs,
            "learning_rate": TUTORIAL_RATE,
            "runs": runs,
        }
        _write(asked.out, found)


def compare(asked: argparse.Namespace) -> None:
    """Dev F1 of ours less the tutorial's, paired by seed, and how long each took to a target."""
    fast = json.loads(asked.ours.read_text(encoding="utf-8"))
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in asked.tutorial]
    slow = {**parts[0], "runs": [run for part in parts for run in part["runs"]]}
    ours, tutorials = ({run["seed"]: run for run in found["runs"]} for found in (fast, slow))
    differences = [100 * (ours[s]["dev_f1"] - tutorials[s]["dev_f1"]) for s in sorted(ours)]
    mean = statistics.mean(differences)
    half = float(student.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences)
    half /= len(differences) ** 0.5
    target = statistics.mean(run["dev_f1"] for run in slow["runs"]) - TARGET_BELOW
    figures = {
        "paired_difference_points": [round(d, 2) for d in differences],
        "mean_points": round(mean, 2),
        "interval_95_points": [round(mean - half, 2), round(mean + half, 2)],
        "target_dev_f1": round(target, 4),
        "seconds_to_target": {
            name: [_seconds_to(target, run["curve"]) for run in found["runs"]]
            for name, found in (("ours", fast), ("tutorial", slow))
        },
    }
    print(json.dumps(figures, indent=2))
    _write(asked.out, {**figures, "ours": fast, "tutorial": slow})


def _seconds_to(target: float, curve: list[list[float]]) -> float | None:
    return next((seconds for seconds, f1 in curve if f1 >= target), None)


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def tutorial(params: Train, aligned: Path, encoder: Path) -> dict[str, Any]:
    """One run of the tutorial's loop."""
    make_repeatable(params.seed, params.cpu_threads, False)
    data, dev = (read_aligned(aligned / f"{split}.parquet") for split in ("train", "dev"))
    labels = Labels.read(aligned)
    model = new_tagger(encoder, labels).to(choose_device("auto", ""))
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
            print(f"step {step} of {steps}: dev F1 {f1:.4f}", file=sys.stderr)
    seconds = round(time.monotonic() - began, 1)
    return {"dev_f1": max(f1 for _, f1 in curve), "seconds": seconds, "curve": curve}


if __name__ == "__main__":
    main()
