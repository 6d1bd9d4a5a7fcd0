"""Prints the versions with an alias and their figures, and the history of champions."""

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.registry import aliases, keys
from pipelines.registry.history import Event
from pipelines.registry.registry import Registry

SHOWN = (aliases.CHAMPION, aliases.CHALLENGER, aliases.PREVIOUS)
TYPES_SHOWN = 10  # more do not fit beside each other; --json has them
TYPE_F1 = re.compile(r"export\.(.+)\.f1")


def status(registry: Registry) -> dict[str, dict[str, Any] | None]:
    """Alias → version, figures and gates; None if no version has the alias."""
    return {alias: _version(registry, aliases.by_alias(registry, alias)) for alias in SHOWN}


def show_status(model: str, found: dict[str, dict[str, Any] | None]) -> None:
    """Prints the table."""
    types = sorted({type_ for row in found.values() if row for type_ in row["type_f1"]})
    if len(types) > TYPES_SHOWN:
        types = []
    table = Table(title=model)
    for name in ("", "Version", "F1", *types, "CUDA", "Test data", "Commit", "Since", "By"):
        table.add_column(name)
    for alias, row in found.items():
        if row is None:
            table.add_row(alias, "none")
            continue
        table.add_row(
            alias,
            row["version"],
            _figure(row["f1"]),
            *(_figure(row["type_f1"].get(type_)) for type_ in types),
            "yes" if row["cuda_validated"] else "no",
            row["test_sha256"][:8],
            row["commit"][:8],
            row["promoted_when"][:19],
            row["promoted_who"],
        )
    console = _console()
    console.print(table)
    for alias, row in found.items():
        for name, verdict in (row["gates"] if row else {}).items():
            if verdict.startswith("failed"):
                console.print(f"{alias}, version {row['version']}: gate {name} {verdict}")  # type: ignore[index]


def show_history(model: str, found: Sequence[Event]) -> None:
    """Prints the table."""
    table = Table(title=f"Champions of {model}")
    for name in ("When (UTC)", "Who", "What", "From", "To", "F1 from", "F1 to", "Why"):
        table.add_column(name)
    for event in found:
        table.add_row(
            event.when[:19],
            event.who,
            event.action + (", forced" if event.forced else ""),
            event.before or "none",
            event.version,
            _figure(event.f1_before) if event.before else "",
            _figure(event.f1),
            event.why,
        )
    _console().print(table)


def _version(registry: Registry, version: str | None) -> dict[str, Any] | None:
    if version is None:
        return None
    tags = keys.tags(registry.client.get_model_version(registry.model, version))
    types = {match[1]: tags[key] for key in tags if (match := TYPE_F1.fullmatch(key))}
    return {
        "version": version,
        "f1": _number(tags.get("export.f1")),
        "type_f1": {type_: _number(text) for type_, text in types.items()},
        "cuda_validated": tags.get("cuda_validated") == "true",
        "test_sha256": tags.get("test_sha256", ""),
        "commit": tags.get("commit", ""),
        "promoted_when": tags.get("promoted.when", ""),
        "promoted_who": tags.get("promoted.who", ""),
        "gates": {
            key.removeprefix("gate."): tags[key] for key in sorted(tags) if key.startswith("gate.")
        },
    }


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"


def _console() -> Console:
    # Wide enough not to wrap if the output is not a terminal: a wrapped table cannot be grepped.
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=240)
