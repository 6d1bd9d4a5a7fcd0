"""Measures what DVC, Prefect and MLflow add to the stages' own time: `make bench-pipeline`.

Runs the last commit on the sample in a clone with an empty cache, again with everything cached,
again with nothing to do, then `align` on all of MSRA if it is there, and `--help`, on two cores. It
writes benchmarks/results/pipeline.json. Other work on the machine affects seconds, but hardly CPU
seconds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.spent import spent

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "pipeline.json"
RUN = ["run", "--dirty", "--params", "samples/params.yaml"]
FILES = {"train": "msra_train_canonical.txt", "test": "msra_test_bio.txt"}
CORES = 2
HELPS = 5
BOTH = ("seconds", "cpu_seconds")
Spent = dict[str, float]


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = os.environ.get("NER_SHARED", ROOT.parent / "shared")
    parser.add_argument("--shared", type=Path, default=beside, help="folder of msra/ and encoders/")
    shared = Path(parser.parse_args().shared).resolve()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        subprocess.run(["git", "clone", "--quiet", ROOT, project], check=True)
        result = {**machine(), "commit": _commit(project), **_run(project)}
        if (shared / "msra").is_dir():
            result["align_msra"] = _align(project, shared)
        helps = [_spent(project, "pipelines", "--help") for _ in range(HELPS)]
        result["help"] = {key: median(one[key] for one in helps) for key in helps[0]}
    result["load_average_1m_after"] = os.getloadavg()[0]
    result = json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _show(result)


def _run(project: Path) -> dict[str, object]:
    """The flow on the sample: what each stage takes alone, and what each tool adds."""
    clock, lines = project.with_name("clock.json"), project.with_name("stages.jsonl")
    timed = f'#!/bin/sh\nexec python {ROOT / "benchmarks" / "spent.py"} {lines} "$@"\n'
    (project / "docker" / "run").write_text(timed, encoding="utf-8")
    whole = _spent(project, "benchmarks.pipeline_clock", str(clock), *RUN)
    stages: dict[str, Spent] = {}
    for line in map(json.loads, lines.read_text(encoding="utf-8").splitlines()):
        name = line.pop("command")[-1].removeprefix("stages.")
        [measured] = project.glob(f".runs/2*/.measured/{name}.json")
        line["measured_seconds"] = json.loads(measured.read_text(encoding="utf-8"))["seconds"]
        stages[name] = line
    alone = {key: sum(stage[key] for stage in stages.values()) for key in BOTH}
    tools: dict[str, Spent] = json.loads(clock.read_text(encoding="utf-8"))
    return {
        "stages": stages,
        "stages_alone": alone,
        "dvc": {key: tools["dvc"][key] - alone[key] for key in BOTH},  # includes the stages
        "mlflow": tools["mlflow"],
        "prefect_and_rest": {
            key: whole[key] - sum(tool[key] for tool in tools.values()) for key in BOTH
        },
        "added": {key: whole[key] - alone[key] for key in BOTH},
        "run": whole,
        # Every stage is cached, and both databases exist.
        "run_again": _spent(project, "pipelines", *RUN, "--force"),
        "nothing_to_do": _spent(project, "pipelines", *RUN),
    }


def _align(project: Path, shared: Path) -> Spent:
    """The stage alone, as DVC would run it, with the parameters of the full job."""
    work = project.with_name("align")
    (work / "data" / "corpus").mkdir(parents=True)
    shutil.copy(project / "params.yaml", work)
    for name, file in FILES.items():
        source = shared / "msra" / file
        (work / "data" / "corpus" / f"{name}.txt").symlink_to(source)
    (work / "data" / "encoder").symlink_to(shared / "encoders" / "minilm-zh-char")
    figures = _spent(work, "stages.align", PYTHONPATH=str(project))
    found = json.loads((work / ".measured" / "align.json").read_text(encoding="utf-8"))
    return {"sentences": found["sentences"], **figures}


def _spent(folder: Path, module: str, *arguments: str, **env: str) -> Spent:
    """What `python -m module` spends in `folder`, without servers named by the environment."""
    servers = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL")
    kept = {key: value for key, value in os.environ.items() if key not in servers}
    command = [sys.executable, "-m", module, *arguments]
    return spent(command, cwd=folder, env={**kept, **env}, stdout=subprocess.DEVNULL)


def _commit(project: Path) -> str:
    command = ["git", "-C", str(project), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _show(result: dict[str, dict[str, float]]) -> None:
    table = Table(
        title=f"load {result['load_average_1m_before']} on {result['cores']} cores before"
    )
    for column in ("", "measured", "seconds", "CPU seconds", "peak MB"):
        table.add_column(column, justify="right" if column else "left")
    rows = {f"  {name}": figures for name, figures in result["stages"].items()} | result
    for name, figures in rows.items():
        if isinstance(figures, dict) and "seconds" in figures:
            keys = ("measured_seconds", *BOTH, "peak_memory_mb")
            found = (figures.get(key) for key in keys)
            table.add_row(name, *("" if figure is None else f"{figure:.2f}" for figure in found))
    Console().print(table)


if __name__ == "__main__":
    main()
