"""The SHA-256 of each file of a folder, written as `sha256sum` does."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

CHUNK_BYTES = 1 << 20


def checksums(folder: Path) -> dict[str, str]:
    """Path below `folder` → SHA-256, of each file there, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """What `found` has otherwise than `expected`: the first file, in words; None if nothing."""
    for name in sorted({*found, *expected}):
        if name not in found:
            return f"{name} is gone"
        if name not in expected:
            return f"{name} was not there"
        if found[name] != expected[name]:
            return f"{name} has SHA-256 {found[name]}, not {expected[name]}"
    return None


def as_text(sums: Mapping[str, str]) -> str:
    """For `sha256sum --check` in the folder."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def from_text(text: str) -> dict[str, str]:
    """What `as_text` wrote.

    Raises:
        ValueError: a line is none of its.
    """
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {name: digest for digest, name in pairs}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()
