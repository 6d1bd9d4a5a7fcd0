"""Keeps what a workspace's stages print, line by line, in `.stages.log`."""

from datetime import UTC, datetime
from pathlib import Path

FILE = ".stages.log"


def write(path: Path, stage: str, line: str) -> None:
    """Adds a line of the stage, with the time, to the log of the workspace `path`."""
    with (path / FILE).open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\t{stage}\t{line}\n")


def text(path: Path) -> str:
    """The whole log of the workspace `path`; empty before its first line."""
    try:
        return (path / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def last(path: Path, lines: int) -> tuple[str | None, list[str]]:
    """The stage that wrote last in the workspace `path`, and its last lines."""
    rows = [row.split("\t", 2) for row in text(path).split("\n") if row.count("\t") > 1]
    stage = rows[-1][1] if rows else None
    return stage, [line for _, name, line in rows if name == stage][-lines:]
