"""The installed packages against constraints.txt."""

from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipelines.doctor.checks.finding import Asked, Finding, Level

CONSTRAINTS = Path("constraints.txt")
NAMED = 10


def check(asked: Asked) -> Iterator[Finding]:  # noqa: ARG001
    """One finding: all as pinned, or which are not."""
    if not CONSTRAINTS.is_file():
        do = "run from the project's own folder"
        yield Finding("packages", Level.WARNING, f"{CONSTRAINTS} is not here", do)
        return
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    # The first of a name is the one that is imported: in the image the base's may stand behind it.
    found = reversed([*distributions()])
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in found}
    other = different([line for line in lines if line], installed)
    if other:
        more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
        said = f"{len(other)} are not as {CONSTRAINTS} has them: {', '.join(other[:NAMED])}{more}"
        do = "`make run` brings them up to date; results may differ a little from the pinned ones"
        yield Finding("packages", Level.WARNING, said, do)
    else:
        yield Finding("packages", Level.OK, f"{len(installed)}, none unlike {CONSTRAINTS}")


def different(constraints: list[str], installed: dict[NormalizedName, str]) -> list[str]:
    """Which of `installed` is not in the version that `constraints` pin for this platform."""
    pins = [pin for pin in map(Requirement, constraints) if not pin.marker or pin.marker.evaluate()]
    return [
        f"{name} {installed[name]} (not {str(pin.specifier).removeprefix('==')})"
        for pin in pins
        if (name := canonicalize_name(pin.name)) in installed
        and not pin.specifier.contains(installed[name], prereleases=True)
    ]
