"""Compares the speed of torch and ONNX Runtime in one process: `make bench-inference`.

Random weights of BERT-base's size, or `--model FOLDER`. It writes inference.json (on the CPU
inference-cpu.json), a plot and the table of docs/benchmarks.md; `--out FOLDER` leaves the JSON
there and touches nothing else, `--report` draws from the JSON that is there.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from transformers import AutoModelForTokenClassification, BertConfig, BertForTokenClassification

from benchmarks.inference import bars, report
from benchmarks.inference.engines import ENGINES, Engine, kernels
from benchmarks.machine import cpu_name
from stages.model.batches import batches_by_length

HERE = Path(__file__).parents[1]
FIXED = {  # batch, tokens
    "cuda": [(1, 64), (32, 64), (256, 64)],
    "cpu": [(1, 64), (8, 64), (32, 64)],
}
SECONDS_A_SHAPE = {"cuda": 1.0, "cpu": 4.0}
TOKENS_PER_BATCH = 16384


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser("python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default=_device())
    parser.add_argument("--model", type=Path, help="an encoder or a tagger instead of random ones")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--sentences", type=int, help="of MSRA's lengths; 8192, on the CPU 128")
    parser.add_argument("--out", type=Path, help="only the JSON, to this folder")
    parser.add_argument("--report", action="store_true", help="plot and table alone")
    asked = parser.parse_args()
    if not asked.report:
        name = "inference.json" if asked.device == "cuda" else "inference-cpu.json"
        folder = asked.out or HERE / "results"
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_measured(asked), indent=2) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    if not asked.out:
        report.write(HERE)


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    torch.set_num_threads(asked.threads)
    model = _model(asked).eval()
    lengths = _lengths(asked.sentences or (8192 if asked.device == "cuda" else 128))
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name()
        if asked.device == "cuda"
        else f"{cpu_name()}, {asked.threads} threads",
        "torch": torch.__version__,
        "onnxruntime": ort.__version__,
        "python": platform.python_version(),
        "model": asked.model.name if asked.model else "random weights",
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "layers": model.config.num_hidden_layers,
        "hidden": model.config.hidden_size,
        "msra_sentences": len(lengths),
        "msra_tokens": sum(lengths),
        "engines": {},
        "failed": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, build in ENGINES[asked.device].items():
            print(f"{name}: ", end="", flush=True)
            started = perf_counter()
            try:
                engine = build(model, Path(folder), asked.threads)
                found = dict(_shapes(engine, asked.device))
                if not engine.fixed_shapes_only:
                    found["msra"] = _by_length(engine, lengths)
                result["engines"][name] = found
                if name == "onnx_fp16":
                    result["fp16_kernels_256x64"] = kernels(engine, *FIXED["cuda"][-1])
            except Exception as error:  # the others' figures are not lost with it
                result["failed"][name] = " ".join(f"{type(error).__name__}: {error}".split())[:500]
                print(result["failed"][name], flush=True)
            else:
                seconds = perf_counter() - started
                print(f"{_short(found)} ({seconds:.0f} s with its start)", flush=True)
            engine = None
            if asked.device == "cuda":
                torch.cuda.empty_cache()
    result["bars"] = bars.judged(result["engines"], asked.device)
    print(json.dumps(result["bars"], indent=2))
    return result


def _shapes(engine: Engine, device: str) -> Iterator[tuple[str, dict[str, float]]]:
    for batch, tokens in FIXED[device]:
        call = engine.bound(batch, tokens)
        for _ in range(5):
            call()
        ms = np.array(list(_timed(call, SECONDS_A_SHAPE[device])))
        yield (
            f"{batch}x{tokens}",
            {
                "ms_p50": round(float(np.percentile(ms, 50)), 3),
                "ms_p99": round(float(np.percentile(ms, 99)), 3),
                "calls": len(ms),
                "sentences_per_s": round(batch / float(np.percentile(ms, 50)) * 1000, 1),
            },
        )


def _timed(call: Callable[[], object], seconds: float, at_least: int = 5) -> Iterator[float]:
    end, calls = perf_counter() + seconds, 0
    while calls < at_least or (perf_counter() < end and calls < 1000):
        started = perf_counter()
        call()
        yield (perf_counter() - started) * 1000
        calls += 1


def _by_length(engine: Engine, lengths: list[int]) -> dict[str, float]:
    """From ids and mask in the host's memory to logits there, batch after batch."""
    rng = np.random.default_rng(0)
    batches: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for batch in batches_by_length(lengths, TOKENS_PER_BATCH):
        tokens = np.array([[lengths[i]] for i in batch])
        mask = (np.arange(tokens.max()) < tokens).astype(np.int64)
        batches.append((rng.integers(1, 2000, size=mask.shape) * mask, mask))

    def run() -> None:
        for ids, mask in batches:
            engine.forward(ids, mask)

    run()  # plans memory, and compiles
    middle = float(np.median([ms / 1000 for ms in _timed(run, 0.0, at_least=3)]))
    return {
        "sentences_per_s": round(len(lengths) / middle, 1),
        "tokens_per_s": round(sum(lengths) / middle),
        "seconds": round(middle, 3),
        "batches": len(batches),
    }


def _model(asked: argparse.Namespace) -> Any:
    if asked.model:
        return AutoModelForTokenClassification.from_pretrained(
            asked.model, num_labels=7, dtype=torch.float32, ignore_mismatched_sizes=True
        )
    config = BertConfig(vocab_size=21128, num_hidden_layers=asked.layers, num_labels=7)
    return BertForTokenClassification(config)


def _lengths(sentences: int) -> list[int]:
    known = json.loads((HERE / "msra-lengths.json").read_text(encoding="utf-8"))["windows"]
    lengths, counts = [int(n) for n in known], np.array([*known.values()])
    rng = np.random.default_rng(0)
    drawn: list[int] = rng.choice(lengths, size=sentences, p=counts / counts.sum()).tolist()
    return drawn


def _short(found: dict[str, dict[str, float]]) -> str:
    shapes = [f"{at} {row['ms_p50']:.2f} ms" for at, row in found.items() if at != "msra"]
    more = [f"msra {found['msra']['sentences_per_s']:.0f}/s"] if "msra" in found else []
    return ", ".join(shapes + more)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    main()
