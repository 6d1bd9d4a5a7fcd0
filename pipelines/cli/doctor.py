"""The command `doctor`."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Params


@command(
    "doctor",
    "doctor --params samples/params.yaml",
    codes={0: "all checks are ok", 1: "the worst is a warning", 2: "the worst is an error"},
    anywhere=True,
)
def doctor(params: Params) -> Answer:
    """Checks driver, GPUs, packages, disk and servers.

    Checks the driver, GPUs, torch, ONNX Runtime, disk, packages and image, and that the DVC
    remote, MLflow and Prefect answer if they are set. Each line is ok, warning or error, and says
    what to do. A missing GPU is an error if params.yaml needs one.
    """
    from pipelines.doctor.doctor import diagnose

    found = diagnose(Path.cwd(), params)
    rows = [
        {
            "check": finding.check,
            "level": finding.level.name.lower(),
            "said": finding.message,
            "do": finding.remedy,
        }
        for finding in found
    ]
    worst = max(finding.level for finding in found)
    return Answer({"checks": rows}, lambda: _show(rows), int(worst))


def _show(rows: list[dict[str, Any]]) -> None:
    if not (sys.stdout.isatty() and show_table(rows)):
        for row in rows:
            print(f"{row['level']:9}{row['check']:18}{_text(row)}")
    print(_count(Counter(row["level"] for row in rows)))


def _count(levels: Counter[str]) -> str:
    words = [
        f"{levels[level]} {level}{'s' * (levels[level] != 1)}" for level in ("error", "warning")
    ]
    return ", ".join([*words, f"{levels['ok']} ok"])


def _text(row: dict[str, Any]) -> str:
    return f"{row['said']}: {row['do']}" if row["do"] else str(row["said"])


def show_table(rows: list[dict[str, Any]]) -> bool:
    """Prints the rows with colours; False if rich is missing, as in the image of the stages."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:
        return False
    colours = {"ok": "green", "warning": "yellow", "error": "bold red"}
    table = Table.grid(padding=(0, 2))
    for row in rows:
        level = Text(row["level"], colours[row["level"]])
        table.add_row(level, Text(row["check"], no_wrap=True), Text(_text(row)))
    Console().print(table)
    return True
