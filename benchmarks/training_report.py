"""Writes the table of docs/benchmarks.md and the plot of what `benchmarks.training` measured."""

import json
import re
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"(<!-- made by make bench-training -->\n).*?(<!-- end -->)", re.DOTALL)
BARS = {"tutorial": 30, "trainer": 3}
TOKENS_PER_S = 500_000


def write(folder: Path) -> None:
    """Draws results/training.svg; writes the table into docs/benchmarks.md beside `folder`."""
    result = json.loads((folder / "results/training.json").read_text(encoding="utf-8"))
    _plot(result, folder / "results/training.svg")
    page = folder.parent / "docs/benchmarks.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(BLOCK.sub(lambda m: f"{m[1]}{_table(result)}\n{m[2]}", text), encoding="utf-8")


def _table(result: dict[str, Any]) -> str:
    rows = result["rows"]
    by_name = {row["name"]: row for row in rows}
    lines = [
        "",
        f"{result['device']}, {result['layers']} layers x 768 with random weights, torch"
        f" {result['torch']}, {result['date']}; {result['bf16_peak_tflops']} TFLOP/s is its bf16"
        " peak, measured on one large product in the same run:",
        "",
        "| | sentences/s | x tutorial | x the row above | tokens/s | of the peak | memory, GiB"
        " | first step, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    previous = None
    for row in rows:
        rate = row["sentences_per_s"]
        lines.append(
            f"| {row['name']} | {rate:,.0f} | {rate / by_name['tutorial']['sentences_per_s']:.1f}"
            f" | {f'{rate / previous:.2f}' if previous else ''} | {row['tokens_per_s']:,}"
            f" | {row['peak_fraction']:.1%} | {row['memory_peak_gib']} | {row['first_step_s']} |"
        )
        previous = rate
    ours = by_name["ours"]
    bars = [
        f"{ours['sentences_per_s'] / by_name[name]['sentences_per_s']:.1f}x the {name}"
        f" (bar: {bar}x)"
        for name, bar in BARS.items()
    ]
    bars.append(f"{ours['tokens_per_s']:,} tokens/s (bar: {TOKENS_PER_S:,})")
    lines += ["", f"{', '.join(bars)}."]
    if roofline := result.get("roofline"):
        tokens_ms = ours["step_ms"] * ours["tokens_per_s"] / by_name["trainer"]["tokens_per_s"]
        lines += _roofline(roofline, tokens_ms)
    if note := result.get("note"):
        lines += ["", note]
    return "\n".join([*lines, ""])


def _roofline(rows: list[dict[str, Any]], trainer_ms: float) -> list[str]:
    """What each class of kernel takes in a step of `ours`, beside the least that it needs."""
    ms, least = (sum(row[key] for row in rows) for key in ("ms", "least_ms"))
    return [
        "",
        f"A step of `ours`, and the least that its FLOPs or bytes need at this GPU's measured peaks"
        f" (`benchmarks/roofline.py`). At the least it would be {trainer_ms / least:.2f}x the"
        " trainer:",
        "",
        "| class of kernel | ms | least ms | |",
        "|---|---|---|---|",
        *(
            f"| {row['class']} | {row['ms']:.1f} | {row['least_ms']:.1f}"
            f" | {row['least_ms'] / max(row['ms'], 0.1):.0%} |"
            for row in rows
        ),
        f"| together | {ms:.1f} | {least:.1f} | {least / ms:.0%} |",
    ]


def _plot(result: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "training", "svg.fonttype": "none"}
    import matplotlib.pyplot as plt

    rows = result["rows"][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(rows) + 1), layout="constrained")
    bars = axes.barh([row["name"] for row in rows], [row["sentences_per_s"] for row in rows])
    axes.bar_label(bars, [f"{row['sentences_per_s']:,.0f}" for row in rows], padding=3)
    axes.set_xlabel(f"sentences/s, BERT-base size, {result['device']}")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    write(Path(__file__).parent)
