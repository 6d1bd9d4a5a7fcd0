"""`doctor` on the command line."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.cli.options import JSON, PARAMS


def add(commands: Any) -> None:
    """Adds the subcommand."""
    doctor = commands.add_parser(
        "doctor",
        parents=[PARAMS, JSON],
        help="check driver, GPUs, packages, disk, servers",
        description="Looks at the driver, GPUs, torch, ONNX Runtime, disk, packages and image, and"
        " whether the DVC remote, MLflow and Prefect answer, where they are set. Each line says"
        " ok, warning or error, and what to do. No GPU is an error where params.yaml asks for one.",
        epilog="The exit code is the worst of them: 0 ok, 1 a warning, 2 an error.",
    )
    doctor.set_defaults(command=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from pipelines.doctor.doctor import examine

    found = examine(Path.cwd(), arguments.params)
    rows = [{**asdict(finding), "level": finding.level.name.lower()} for finding in found]
    worst = max(finding.level for finding in found)
    if arguments.json:
        print(json.dumps({"exit_code": int(worst), "checks": rows}, ensure_ascii=False))
    elif not (sys.stdout.isatty() and show_table(rows)):
        for row in rows:
            print(f"{row['level']:9}{row['check']:18}{_words(row)}")
    if not arguments.json:
        print(_sum(Counter(row["level"] for row in rows)))
    return int(worst)


def _sum(count: Counter[str]) -> str:
    words = [f"{count[level]} {level}{'s' * (count[level] != 1)}" for level in ("error", "warning")]
    return ", ".join([*words, f"{count['ok']} ok"])


def _words(row: dict[str, Any]) -> str:
    return f"{row['said']}: {row['do']}" if row["do"] else str(row["said"])


def show_table(rows: list[dict[str, Any]]) -> bool:
    """Prints it with colours; False where rich is not installed, in the image of the stages."""
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
        table.add_row(level, Text(row["check"], no_wrap=True), Text(_words(row)))
    Console().print(table)
    return True
