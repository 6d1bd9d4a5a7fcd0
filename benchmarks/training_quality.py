"""Compares the dev F1 of our loop with the tutorial's, on the same data, seed by seed.

benchmarks/recipe.py trains our loop; `tutorial` trains the loop of benchmarks/tutorial.py, with as
many evaluations. From the files of both, `compare` writes and prints results/training_quality.json.
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
from stages.model.decode import Decoder
from stages.model.device import choose_device, device_figures, make_repeatable
from stages.model.tagger import forward_of, new_tagger
from stages.params.train import Train
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned

RESULTS = Path(__file__).parent / "results"
TUTORIAL_RATE = 5e-5  # usual in tutorials for 16 sentences per step
TARGET_BELOW = 0.002  # the target is this much below the dev F1 of the tutorial's loop


def main() -> None:
    """Trains the tutorial's loop, or compares two files."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("tutorial")
    command.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    command.add_argument("--encoder", type=Path, default=Path("data/encoder"))
    command.add_argument("--epochs", type=int, default=3, help="3 is usual in tutorials")
    command.add_argument("--seed", type=int, action="append", required=True)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=train_tutorial)
    command = commands.add_parser("compare")
    command.add_argument("ours", type=Path)
    command.add_argument("tutorial", type=Path, nargs="+")
    command.add_argument("--out", type=Path, default=RESULTS / "training_quality.json")
    command.set_defaults(run=compare)
    arguments = parser.parse_args()
    arguments.run(arguments)


def train_tutorial(arguments: argparse.Namespace) -> None:
    """Trains the tutorial's loop with each seed."""
    params = read(Train, Path("params.yaml")).model_copy(update={"epochs": arguments.epochs})
    runs = []
    for seed in arguments.seed:
        seeded = params.model_copy(update={"seed": seed})
        runs.append({"seed": seed, **tutorial(seeded, arguments.aligned, arguments.encoder)})
        print(json.dumps(runs[-1]), flush=True)
        result = {
            "machine": machine() | device_figures(choose_device("auto", "")),
            "epochs": arguments.epochs,
            "learning_rate": TUTORIAL_RATE,
            "runs": runs,
        }
        _write(arguments.out, result)


def compare(arguments: argparse.Namespace) -> None:
    """Writes the differences in dev F1, paired by seed, and the seconds of each to a target F1."""
    fast = json.loads(arguments.ours.read_text(encoding="utf-8"))
    [recipe] = fast.pop("recipes")
    fast |= recipe
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.tutorial]
    slow = {**parts[0], "runs": [run for part in parts for run in part["runs"]]}
    ours, tutorials = ({run["seed"]: run for run in part["runs"]} for part in (fast, slow))
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
            name: [_seconds_to(target, run["curve"]) for run in part["runs"]]
            for name, part in (("ours", fast), ("tutorial", slow))
        },
    }
    print(json.dumps(figures, indent=2))
    _write(arguments.out, {**figures, "ours": fast, "tutorial": slow})


def _seconds_to(target: float, curve: list[list[float]]) -> float | None:
    return next((seconds for seconds, f1 in curve if f1 >= target), None)


def _write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def tutorial(params: Train, aligned: Path, encoder: Path) -> dict[str, Any]:
    """Trains the tutorial's loop once."""
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
            decoder = Decoder(labels.tags)
            predicted = predict(dev, forward, decoder, params.tokens_per_batch)[1]
            f1 = score(dev, predicted, labels.tags)["f1"]
            curve.append([round(time.monotonic() - began, 1), f1])
            print(f"step {step} of {steps}: dev F1 {f1:.4f}", file=sys.stderr)
    seconds = round(time.monotonic() - began, 1)
    return {"dev_f1": max(f1 for _, f1 in curve), "seconds": seconds, "curve": curve}


if __name__ == "__main__":
    main()
