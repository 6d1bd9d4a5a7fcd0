"""What `benchmarks.inference` is held to."""

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


def judged(engines: dict[str, Any], device: str) -> dict[str, dict[str, Any]]:
    """What was found of each bar of that device, and whether it is met."""

    def ms(engine: str, shape: str) -> float:
        return float(engines[engine][shape]["ms_p50"])

    if device == "cpu":
        found = {"fp32_over_torch_at_1": ms("torch_fp32", "1x64") / ms("onnx_fp32", "1x64")}
    else:
        found = {
            "fp16_over_fp32_at_256": ms("onnx_fp32", "256x64") / ms("onnx_fp16", "256x64"),
            "fp16_over_tf32_at_256": ms("onnx_tf32", "256x64") / ms("onnx_fp16", "256x64"),
            "fp16_ms_at_1": ms("onnx_fp16", "1x64"),
            "fp16_graph_ms_at_1": ms("onnx_fp16_graph", "1x64"),
            "fp16_sentences_per_s_msra": engines["onnx_fp16"]["msra"]["sentences_per_s"],
        }
    bars = BARS[device]
    return {
        name: {
            "found": round(value, 3),
            "bar": bars[name],
            "met": value <= bars[name] if "_ms_" in name else value >= bars[name],
        }
        for name, value in found.items()
    }
