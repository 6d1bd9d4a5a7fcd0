"""The bars that the measured figures should reach."""

from collections.abc import Callable
from typing import Any

BARS = {  # on an H100, at BERT-base's size; on two CPU cores, minilm-zh-char
    "cuda": {
        "fp16_over_fp32_at_256": 3.0,
        "fp16_over_tf32_at_256": 3.0,
        "fp16_ms_at_1": 1.5,
        "fp16_graph_ms_at_1": 1.5,
        "fp16_sentences_per_s_msra": 30_000.0,
    },
    "cpu": {"fp32_over_torch_at_1": 1.5},
}


FOUND: dict[str, Callable[[Any], float]] = {
    "fp32_over_torch_at_1": lambda e: _ms(e, "torch_fp32", 1) / _ms(e, "onnx_fp32", 1),
    "fp16_over_fp32_at_256": lambda e: _ms(e, "onnx_fp32", 256) / _ms(e, "onnx_fp16", 256),
    "fp16_over_tf32_at_256": lambda e: _ms(e, "onnx_tf32", 256) / _ms(e, "onnx_fp16", 256),
    "fp16_ms_at_1": lambda e: _ms(e, "onnx_fp16", 1),
    "fp16_graph_ms_at_1": lambda e: _ms(e, "onnx_fp16_graph", 1),
    "fp16_sentences_per_s_msra": lambda e: e["onnx_fp16"]["msra"]["sentences_per_s"],
}


def judged(engines: dict[str, Any], device: str) -> dict[str, dict[str, Any]]:
    """What was found of each bar of that device, and whether it is met; None: not measured."""
    result = {}
    for name, bar in BARS[device].items():
        try:
            found = round(FOUND[name](engines), 3)
        except KeyError:
            result[name] = {"found": None, "bar": bar, "met": False}
        else:
            met = found <= bar if "_ms_" in name else found >= bar
            result[name] = {"found": found, "bar": bar, "met": met}
    return result


def _ms(engines: dict[str, Any], name: str, batch: int) -> float:
    return float(engines[name][f"{batch}x64"]["ms_p50"])
