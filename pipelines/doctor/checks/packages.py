"""Compares the installed packages with constraints.txt."""

from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipelines.doctor.checks.finding import Finding, Level, Requirements

CONSTRAINTS = Path("constraints.txt")
NAMED = 10


def check(required: Requirements) -> Iterator[Finding]:  # noqa: ARG001
    """Yields one finding, which names the packages with another version."""
    if not CONSTRAINTS.is_file():
        remedy = "run in the project's folder"
        yield Finding("packages", Level.WARNING, f"{CONSTRAINTS} is missing", remedy)
        return
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    # Python imports the first one of a name: the image may have another from its base behind it.
    found = reversed([*distributions()])
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in found}
    other = different([line for line in lines if line], installed)
    if other:
        more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
        message = f"{len(other)} differ from {CONSTRAINTS}: {', '.join(other[:NAMED])}{more}"
        remedy = "`make run` updates them; until then results may differ slightly"
        yield Finding("packages", Level.WARNING, message, remedy)
    else:
        yield Finding("packages", Level.OK, f"{len(installed)} packages, all as in {CONSTRAINTS}")


def different(constraints: list[str], installed: dict[NormalizedName, str]) -> list[str]:
    """The packages in `installed` whose version is not the one that `constraints` pin here."""
    pins = [pin for pin in map(Requirement, constraints) if not pin.marker or pin.marker.evaluate()]
    return [
        f"{name} {installed[name]} (not {str(pin.specifier).removeprefix('==')})"
        for pin in pins
        if (name := canonicalize_name(pin.name)) in installed
        and not pin.specifier.contains(installed[name], prereleases=True)
    ]
