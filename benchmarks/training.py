"""Compares training speeds in one process on one GPU: `make bench-training`.

Times the tutorial loop, transformers' Trainer and this project's step with one speed-up after the
other, on the same windows of MSRA, for a model of BERT-base size with random weights. Sentences and
tokens are counted without padding, with [CLS] and [SEP]. Writes results/training.json and .svg
beside this file, and the table in docs/benchmarks.md.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks import roofline, training_report
from benchmarks.hf_trainer import trainer_loop
from benchmarks.our_loop import WARM_UP_STEPS, new_model, our_loop, timed
from benchmarks.tutorial import tutorial_loop
from stages.text.windows_table import Aligned, read_aligned

RESULTS = Path(__file__).parent / "results"
OURS_TOKENS = 65536
Loop = Callable[[PreTrainedModel, Aligned], Iterator[Any]]


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aligned", type=Path, default=Path("data/aligned"))
    parser.add_argument(
        "--tokens",
        type=int,
        default=655_360,
        help="trained on in each loop but the Trainer's, which takes an epoch",
    )
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="ROW", help="besides those that the bars need"
    )
    arguments = parser.parse_args()
    data = read_aligned(arguments.aligned / "train.parquet")
    per_window = 1 / np.bincount(data.sentence)[data.sentence]
    tokens_per_sentence = sum(map(len, data.input_ids)) / per_window.sum()
    peak = matmul_peak_flops()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "bf16_peak_tflops": round(peak / 1e12, 1),
        "tokens_per_sentence": round(tokens_per_sentence, 2),
        "tokens": arguments.tokens,
        "layers": arguments.layers,
        "rows": [],
    }
    print(f"{result['device']}, torch {torch.__version__}, peak {peak / 1e12:.0f} TFLOP/s")
    for name, loop in loops(arguments.tokens, tokens_per_sentence).items():
        if arguments.only and name not in [*arguments.only, *training_report.BARS, "ours"]:
            continue
        row = {"name": name, **measure(loop, data, arguments.layers)}
        row["sentences_per_s"] = round(row["tokens_per_s"] / tokens_per_sentence, 1)
        row["peak_fraction"] = round(row.pop("flops_per_token") * row["tokens_per_s"] / peak, 4)
        result["rows"].append(row)
        print(json.dumps(row), flush=True)
        file = RESULTS / "training.json"
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    found = kernels(arguments.layers, data)
    result["kernels"] = found[:40]
    [ours] = [row for row in result["rows"] if row["name"] == "ours"]
    model = new_model(arguments.layers)
    result["roofline"] = roofline.table(found, ours["step_ms"], OURS_TOKENS, model, peak)
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    training_report.write(RESULTS.parent)


def loops(tokens: int, tokens_per_sentence: float) -> dict[str, Loop]:
    """The loops to compare, slowest first; each yields the tokens of a step."""

    def steps(tokens_per_step: float) -> int:
        return WARM_UP_STEPS + math.ceil(tokens / tokens_per_step)

    def tutorial(model: PreTrainedModel, data: Aligned) -> Iterator[int]:
        return tutorial_loop(model, data, 1, 5e-5, seed=0, steps=steps(16 * tokens_per_sentence))

    def trainer(batch: int, **options: bool) -> Loop:
        return partial(trainer_loop, batch=batch, **options)

    def ours(tokens_per_step: int, **options: bool) -> Loop:
        return partial(our_loop, steps(tokens_per_step), tokens_per_step, **options)

    fast = {"compiled": True, "graph": True}
    return {
        "tutorial": tutorial,
        "trainer, 128 sentences a step": trainer(128),
        "trainer, 512 sentences a step": trainer(512),
        "trainer": trainer(1456),  # 64k tokens
        "trainer, layers compiled": trainer(1456, compiled=True),
        "packed rows, 4k tokens a step": ours(4096),
        "64k tokens a step": ours(OURS_TOKENS),
        "layers compiled": ours(OURS_TOKENS, compiled=True),
        "ours": ours(OURS_TOKENS, **fast),  # and CUDA graphs
        "ours, deterministic": ours(OURS_TOKENS, **fast, deterministic=True),
        "ours, 32k tokens a step": ours(32768, **fast),
        "ours, 16k tokens a step": ours(16384, **fast),
        "ours, 8k tokens a step": ours(8192, **fast),
    }


def measure(loop: Loop, data: Aligned, layers: int) -> dict[str, Any]:
    """Times one loop after its warm-up steps."""
    torch._dynamo.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = new_model(layers)
    matrices = sum(p.numel() for p in model.bert.encoder.parameters() if p.ndim == 2)
    began = time.perf_counter()
    steps = loop(model, data)
    next(steps)
    torch.cuda.synchronize()
    first_step_s = time.perf_counter() - began
    tokens, seconds = timed(steps)
    return {
        "tokens_per_s": round(sum(tokens) / seconds),
        "step_ms": round(1000 * seconds / len(tokens), 2),
        "first_step_s": round(first_step_s, 2),
        "memory_peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        # Per weight 2 forward, 4 backward. A lower bound: attention and padding are left out.
        "flops_per_token": 6 * matrices,
    }


def kernels(layers: int, data: Aligned, steps: int = 3) -> list[dict[str, Any]]:
    """The GPU's kernels of `ours`, by name, in ms per step, the longest first."""
    torch._dynamo.reset()
    loop = our_loop(WARM_UP_STEPS + steps, OURS_TOKENS, new_model(layers), data, True, True)
    for _ in range(WARM_UP_STEPS):
        next(loop)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in loop:
            torch.cuda.synchronize()
    rows = [
        {"name": row.key[:120], "ms": round(row.self_device_time_total / 1000 / steps, 3)}
        for row in profile.key_averages()
    ]
    return sorted(rows, key=lambda row: -row["ms"])


def matmul_peak_flops(size: int = 8192, times: int = 30) -> float:
    """The speed of this GPU on one large bf16 matrix product, in FLOP/s."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        a @ b
    torch.cuda.synchronize()
    return times * 2 * size**3 / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
