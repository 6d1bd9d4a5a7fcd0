"""Writes the table of docs/benchmarks.md and draws the plot from the measured figures."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

NAMES = {
    "torch_fp32": "torch, eager, fp32",
    "torch_bf16_compiled": "torch, compiled, bf16",
    "onnx_fp32": "ONNX Runtime, fp32",
    "onnx_tf32": "ONNX Runtime, fp32 with TF32",
    "onnx_fp16": "ONNX Runtime, fp16",
    "onnx_fp16_graph": "ONNX Runtime, fp16, CUDA graph",
    "onnx_int8": "ONNX Runtime, int8",
}
BLOCK = re.compile(r"(<!-- made by make bench-inference -->\n).*?(<!-- end -->)", re.DOTALL)


def write(folder: Path) -> None:
    """Draws results/inference.svg, and writes the table into docs/benchmarks.md beside `folder`."""
    results = folder / "results"
    found = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (results / "inference.json", results / "inference-cpu.json")
        if path.is_file()
    ]
    _plot(found, results / "inference.svg")
    page = folder.parent / "docs/benchmarks.md"
    text = page.read_text(encoding="utf-8")
    tables = "\n".join(map(_table, found))
    page.write_text(BLOCK.sub(lambda m: f"{m[1]}{tables}\n{m[2]}", text), encoding="utf-8")


def _table(result: dict[str, Any]) -> str:
    shapes = [at for at in next(iter(result["engines"].values())) if at != "msra"]
    heads = [f"{at.replace('x', ' x ')}, p50 / p99" for at in shapes]
    size = f"{result['layers']} x {result['hidden']}, {result['parameters'] / 1e6:.0f} M parameters"
    lines = [
        "",
        f"{result['device']}, {size}, {result['model']}, torch {result['torch']}, ONNX Runtime"
        f" {result['onnxruntime']}, {result['date']}; batch x tokens in ms, sentences/s:",
        "",
        f"| | {' | '.join(heads)} | {shapes[-1].replace('x', ' x ')} | MSRA's lengths |",
        "|---" * (len(shapes) + 3) + "|",
    ]
    for name, rows in result["engines"].items():
        times = [f"{rows[at]['ms_p50']:.2f} / {rows[at]['ms_p99']:.2f}" for at in shapes]
        rates = [
            f"{rows[at]['sentences_per_s']:,.0f}" if at in rows else ""
            for at in (shapes[-1], "msra")
        ]
        lines.append(f"| {' | '.join([NAMES[name], *times, *rates])} |")
    lines += ["", "; ".join(map(_bar, result["bars"].items())) + "."]
    if shares := _shares(result.get("fp16_kernels_256x64", [])):
        lines += ["", f"The GPU's time of fp16 at 256 x 64: {shares}."]
    return "\n".join([*lines, ""])


def _bar(item: tuple[str, dict[str, Any]]) -> str:
    name, bar = item
    sign = "at most" if "_ms_" in name else "at least"
    return f"`{name}` {bar['found']:g}, {'' if bar['met'] else 'not '}{sign} {bar['bar']:g}"


def _shares(kernels: list[dict[str, Any]]) -> str:
    """Shares by kernel, the template arguments and namespaces off."""
    found: Counter[str] = Counter()
    for row in kernels:
        kernel = row["kernel"]
        name = "matrix products" if "nvjet" in kernel or "gemm" in kernel else kernel
        found[re.sub(r"^void |<.*|\(.*", "", name).rpartition("::")[2]] += row["share"]
    return ", ".join(f"{name} {share:.1%}" for name, share in found.most_common(7))


def _plot(found: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "inference"  # the same bytes of the same figures
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(6 * len(found), 3.5), squeeze=False)
    for panel, result in zip(panels[0], found, strict=True):
        names = list(reversed(result["engines"]))
        rows = [result["engines"][name] for name in names]
        at = [shape for shape in rows[0] if shape != "msra"][-1]
        bars = panel.barh([NAMES[n] for n in names], [row[at]["sentences_per_s"] for row in rows])
        panel.bar_label(bars, fmt="{:,.0f}", padding=3)
        panel.margins(x=0.2)
        panel.set_xlabel(f"sentences/s, batch x tokens {at.replace('x', ' x ')}")
        panel.set_title(result["device"], fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
