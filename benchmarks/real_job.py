"""The real job in one command: raw MSRA to a champion that answers, on one GPU.

    NER_SHARED=FOLDER python -m benchmarks.real_job

Runs `python -m pipelines run`, `promote`, `predict` and `doctor` with benchmarks/msra-minilm's
overlay. Writes results/real-job.json and results/real-job.log beside this file, and dvc.lock and
environment.txt of the run into benchmarks/msra-minilm. Start it in a fresh clone: what DVC has
cached is not timed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
JOB = ROOT / "benchmarks" / "msra-minilm"
TEXT = "江泽民在北京会见了联合国秘书长安南。"
PACKAGES = ["torch", "transformers", "datasets", "onnxruntime-gpu", "dvc", "mlflow", "prefect"]
SCORES = ("precision", "recall", "f1", "support")
ERRORS = ("ece", "ece_uncalibrated")  # of calibration


def main() -> None:
    """Runs the four commands; writes the figures even where one fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=JOB / "params.yaml", help="the overlay")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--job", type=Path, default=JOB, help="folder of dvc.lock, environment.txt")
    asked = parser.parse_args()
    overlay = ["--params", os.path.relpath(asked.params.resolve(), ROOT)]
    before = {path.name for path in ROOT.glob(".runs/2*")}
    host = machine()
    for folder in (asked.out, asked.job):
        folder.mkdir(parents=True, exist_ok=True)
    commands = {
        "run": ["run", *overlay],
        "promote": ["promote", *overlay],
        "predict": ["predict", TEXT],
        "doctor": ["doctor"],
    }
    with (asked.out / "real-job.log").open("w", encoding="utf-8") as log:
        ended = {name: _run(words, log) for name, words in commands.items()}
    made = [path for path in ROOT.glob(".runs/2*") if path.name not in before]
    if len(made) != 1 or not (made[0] / "reports" / "export.json").is_file():
        sys.exit(
            "The run made no model: see the log. What was done before is not timed: use a clone."
        )
    [workspace] = made
    figures = {**host, **_figures(workspace, ended["run"]["seconds"]), "commands": ended}
    _write(asked.out / "real-job.json", json.dumps(figures, indent=2) + "\n")
    shutil.copy(workspace / "dvc.lock", asked.job)
    _write(asked.job / "environment.txt", _environment(figures))
    print(json.dumps(figures, indent=2))
    sys.exit(max(command["exit_code"] for command in ended.values()))


def _run(words: list[str], log: Any) -> dict[str, float]:
    """`python -m pipelines WORDS`, its output in the log and on the terminal as it comes."""
    _say(f"$ python -m pipelines {' '.join(words)}\n", log)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *words],
        cwd=ROOT,
        env={**os.environ, "NER_RUNTIME": os.environ.get("NER_RUNTIME", "local")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    for line in process.stdout or ():
        _say(line, log)
    code = process.wait()
    seconds = round(time.monotonic() - started, 1)
    _say(f"exit code {code} after {seconds} s\n\n", log)
    return {"seconds": seconds, "exit_code": code}


def _say(line: str, log: Any) -> None:
    """Without the folders of this machine."""
    for folder, name in ((str(ROOT), "."), (os.environ.get("NER_SHARED", ""), "$NER_SHARED")):
        line = line.replace(folder, name) if folder else line
    for file in (log, sys.stdout):
        file.write(line)
        file.flush()


def _figures(workspace: Path, seconds: float) -> dict[str, Any]:
    measured = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((workspace / ".measured").glob("*.json"))
    }
    test, train, export = (_report(workspace, name) for name in ("metrics", "train", "export"))
    stages = {name: round(found["seconds"], 1) for name, found in measured.items()}
    return {
        "gpu": measured["train"].get("gpu"),
        "torch": measured["train"]["torch"],
        "versions": {name: version(name) for name in PACKAGES},
        "seconds": seconds,
        "seconds_by_stage": stages,
        "seconds_in_no_stage": round(seconds - sum(stages.values()), 1),
        "train": measured["train"],
        "best_dev_f1": train["best_dev_f1"],
        "test": {key: test["test"][key] for key in (*SCORES, "f1_low", "f1_high", *ERRORS)},
        "test_f1": export["f1"],
        "by_type": {
            name: {key: row[key] for key in SCORES} for name, row in export["types"].items()
        },
        "onnx_precision": export["onnx_precision"],
        "cuda_validated": export["cuda_validated"],
        "nodes_per_provider": export["nodes_per_provider"],
        "tag_agreement": export["tag_agreement"],
        "logit_difference_max": export["logit_difference_max"],
    }


def _report(workspace: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (workspace / "reports" / f"{name}.json").read_text(encoding="utf-8")
    )
    return found


def _environment(figures: dict[str, Any]) -> str:
    """What the run was made on, a line each."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    return (
        f"date: {figures['date']}\ncommit: {commit}\n"
        "command: NER_SHARED=FOLDER python -m benchmarks.real_job\n"
        f"gpu: {figures['gpu']}\ncpu: {figures['cpu']}, {figures['cores']} cores\n"
        f"python: {figures['python']}\npackages: {versions}\n"
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
