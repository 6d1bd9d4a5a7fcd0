"""Hashes of files, the only place that computes them; and the format of `sha256sum`."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHUNK_BYTES = 2**20


def sha256(*paths: Path) -> str:
    """SHA-256 of a file, or of several as if they were one."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def md5(path: Path) -> str:
    """MD5 of a file, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def digests(path: Path) -> dict[str, Any]:
    """`bytes`, `sha256` and `git_blob` (what `git hash-object` prints) of a file, read once."""
    size = path.stat().st_size
    content = hashlib.sha256()
    git_blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            content.update(chunk)
            git_blob.update(chunk)
    return {"bytes": size, "sha256": content.hexdigest(), "git_blob": git_blob.hexdigest()}


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below `folder`, by its relative path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str | None:
    """The first file that differs, in words; None if all are as expected."""
    for name in sorted({*found, *expected}):
        if name not in found:
            return f"{name} is gone"
        if name not in expected:
            return f"{name} was not there"
        if found[name] != expected[name]:
            return f"{name} has SHA-256 {found[name]}, not {expected[name]}"
    return None


def as_text(sums: Mapping[str, str]) -> str:
    """Formats `sums` for `sha256sum --check` in the folder."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def from_text(text: str) -> dict[str, str]:
    """Parses what `as_text` wrote.

    Raises:
        ValueError: a line has another format.
    """
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {name: digest for digest, name in pairs}
