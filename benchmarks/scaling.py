"""Measures training on several GPUs of one host: `python -m benchmarks.scaling --gpus 1 2`.

Times the step of stages/train.py at BERT-base size with random weights. The tokens per step do not
depend on the number of GPUs. Writes results/scaling.json beside this file.
"""

import argparse
import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed

from benchmarks.our_loop import WARM_UP_STEPS, new_model, our_loop, timed
from stages.text.windows_table import read_aligned
from stages.training.ranks import process_group

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--tokens-per-step", type=int, nargs="+", default=[32768, 65536, 131072, 262144]
    )
    parser.add_argument("--tokens", type=int, default=5_242_880, help="trained on in each run")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--rank-writes", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank_writes:
        as_rank(arguments)
        return
    rows: list[dict[str, Any]] = []
    for gpus in arguments.gpus:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "rows.json"
            command = f"-m torch.distributed.run --nproc-per-node {gpus} -m benchmarks.scaling"
            options = [*sys.argv[1:], "--rank-writes", str(file)]
            subprocess.run([sys.executable, *command.split(), *options], check=True)
            rows += json.loads(file.read_text(encoding="utf-8"))
    single = {row["tokens_per_step"]: row["tokens_per_s"] for row in rows if row["gpus"] == 1}
    for row in rows:
        if baseline := single.get(row["tokens_per_step"]):
            row["speedup"] = round(row["tokens_per_s"] / baseline, 3)
            row["efficiency"] = round(row["speedup"] / row["gpus"], 3)
        print(json.dumps(row))
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(),
        "gpus": torch.cuda.device_count(),
        "torch": torch.__version__,
        "layers": arguments.layers,
        "deterministic": arguments.deterministic,
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2) + "\n"
    (arguments.out / "scaling.json").write_text(text, encoding="utf-8")


def as_rank(arguments: argparse.Namespace) -> None:
    """Measures in each process; rank 0 writes."""
    data = read_aligned(arguments.aligned / "train.parquet")
    rows = []
    with process_group(torch.device("cuda")) as ranks:
        for tokens_per_step in arguments.tokens_per_step:
            torch._dynamo.reset()
            torch.cuda.reset_peak_memory_stats()
            steps = WARM_UP_STEPS + math.ceil(arguments.tokens / tokens_per_step)
            loop = our_loop(
                steps,
                tokens_per_step,
                new_model(arguments.layers),
                data,
                compiled=True,
                graph=True,
                deterministic=arguments.deterministic,
                ranks=ranks,
            )
            next(loop)
            tokens, seconds = timed(loop)
            all_tokens = torch.tensor(float(sum(tokens)), device="cuda")
            if ranks.count > 1:
                distributed.all_reduce(all_tokens)
            rows.append(
                {
                    "gpus": ranks.count,
                    "tokens_per_step": tokens_per_step,
                    "tokens_per_s": round(all_tokens.item() / seconds),
                    "step_ms": round(1000 * seconds / len(tokens), 2),
                    "memory_peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
                }
            )
    if ranks.first:
        arguments.rank_writes.write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
