"""One file from its pinned sources: tried in turn, and checked before it counts."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from stages.contract.errors import StageError
from stages.contract.progress import progress
from stages.contract.section import expanded
from stages.fetching.redirects import check_redirect
from stages.fetching.transfer import Partial, Tries, no_file, transfer
from stages.params.download import UNPINNED, Source

CHUNK_BYTES = 1 << 20


def fetch(
    source: Source,
    path: Path,
    *,
    timeout_s: float,
    attempts: int,
    remedy: str,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Writes to `path` what the first of `source.sources` gives that passes the checks.

    What is unpinned passes if it came whole.

    What came before a transfer was cut off is kept: the next attempt, at the same mirror or the
    next, asks for the rest. What was put together like that and fails its checks is fetched anew.

    Args:
        source: Addresses and checks; an address is http(s)://, file:// or a path.
        path: Where to; after an error it may hold a part.
        timeout_s: Without a byte, before an attempt has failed.
        attempts: An HTTP address.
        remedy: What the user can do when every source has failed.
        headers: Of the HTTP requests; `Authorization` is not passed on to where they redirect.

    Returns:
        What was measured: `mirror` as written (a $VARIABLE may hold a secret), `bytes_fetched`
        with those in vain, `seconds`.

    Raises:
        StageError: no source gave the file; each with its cause.
    """
    started = time.monotonic()
    causes = []
    with (
        progress(source.bytes or 0, path.name, "B") as bar,
        httpx.Client(timeout=timeout_s, follow_redirects=True, headers=headers) as client,
    ):
        # Of compressed content a part could not be continued.
        client.headers["Accept-Encoding"] = "identity"
        partial = Partial(path, source.bytes, bar)
        for written in source.sources:
            try:
                address = expanded(written)
                if address.lower().startswith(("http://", "https://")):
                    _from_http(client, address, source, partial, timeout_s, attempts)
                else:
                    _from_disk(address, source, partial)
            except StageError as error:
                causes.append(f"{written}: {str(error).removeprefix(f'{written}: ')}")
            else:
                return {
                    "mirror": written,
                    "bytes_fetched": partial.fetched_bytes,
                    "seconds": round(time.monotonic() - started, 3),
                }
    raise StageError(f"{path.name} could not be fetched: {'; '.join(causes)}; {remedy}")


def _from_http(
    client: httpx.Client,
    address: str,
    source: Source,
    partial: Partial,
    timeout_s: float,
    attempts: int,
) -> None:
    client.event_hooks = {"request": [lambda request: check_redirect(address, request)]}
    # What another mirror left may be wrong: to find that out costs this one no attempt.
    attempts += partial.held_bytes > 0
    cause = ""
    tries = Tries(attempts)
    for _ in tries:
        resumed = partial.held_bytes > 0
        cause = transfer(client, address, partial, timeout_s, tries)
        if cause and source.sha256 == UNPINNED:
            # Without a check a part would pass for the whole, or be continued by something newer.
            partial.path.unlink(missing_ok=True)
            continue
        mismatch = _mismatch(partial, source)
        if not mismatch:
            return
        cut_off = cause and (source.bytes is None or partial.held_bytes < source.bytes)
        if not cut_off:
            partial.path.unlink()
            if not resumed:
                raise StageError(mismatch)
            cause = mismatch
    held = partial.held_bytes
    came = f", {held} of {source.bytes or 'unknown'} bytes came" if held else ""
    raise StageError(f"{cause}{came} (attempt {attempts} of {attempts})")


def _from_disk(address: str, source: Source, partial: Partial) -> None:
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        origin = Path(url2pathname(parts.path))
    elif "://" in address:
        raise StageError("is neither http(s)://, file:/// nor a path")
    else:
        origin = Path(address)
    try:
        if not origin.is_file():
            raise StageError(f"is not there: {origin.absolute()} is no file")
        file = origin.open("rb")
    except OSError as error:
        raise StageError(f"cannot be read: {error.strerror}") from None
    with file:
        partial.write(iter(lambda: file.read(CHUNK_BYTES), b""), append=False)
    mismatch = _mismatch(partial, source)
    if mismatch:
        partial.path.unlink()
        raise StageError(mismatch)


def _mismatch(partial: Partial, source: Source) -> str:
    """How the content differs from what is expected, or ""."""
    held = partial.held_bytes
    if not held:
        return "is empty"
    if source.bytes is not None and held != source.bytes:
        found = f"over {source.bytes}" if held > source.bytes else held
        mismatch = f"has {found} bytes, expected {source.bytes}"
    else:
        content = digests(partial.path)
        mismatch = ", ".join(
            f"has {check} {content[check]}, expected {expected}"
            for check, expected in (("git_blob", source.git_blob), ("sha256", source.sha256))
            if expected not in (None, UNPINNED, content[check])
        )
    if mismatch or source.sha256 == UNPINNED:
        with partial.path.open("rb") as file:
            return no_file(file.read(200)) or mismatch
    return ""


def digests(path: Path) -> dict[str, Any]:
    """`bytes`, `sha256` and `git_blob` (what `git hash-object` prints) of a file."""
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    git_blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            sha256.update(chunk)
            git_blob.update(chunk)
    return {"bytes": size, "sha256": sha256.hexdigest(), "git_blob": git_blob.hexdigest()}
