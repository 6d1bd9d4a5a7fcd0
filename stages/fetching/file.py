"""Fetches one file from its sources, tried in turn, and checks it."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from stages.contract.errors import StageError
from stages.contract.hashing import digests
from stages.contract.progress import progress
from stages.contract.section import expanded
from stages.fetching.client import http_client
from stages.fetching.redirects import check_redirect
from stages.fetching.transfer import Partial, Tries, not_the_file, transfer
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
    """Writes to `path` the file of the first of `source.sources` that passes the checks.

    An unpinned file passes if its transfer was complete.

    If a transfer is cut off, the next attempt, at this source or the next, asks for the rest. A
    file that was put together from parts and fails its checks is fetched again as a whole.

    Args:
        source: Addresses and checks; an address is http(s)://, file:// or a path.
        path: Destination; after an error it may contain a part of the file.
        timeout_s: Seconds without a byte after which an attempt fails.
        attempts: Per HTTP address.
        remedy: What the user can do when every source has failed.
        headers: Of the HTTP requests; a redirect to another host gets no `Authorization`.

    Returns:
        Measurements: `mirror` as written (a $VARIABLE may contain a secret), `bytes_fetched`
        including those of failed attempts, `seconds`.

    Raises:
        StageError: no source gave the file; the message has the cause for each.
    """
    started = time.monotonic()
    causes = []
    with progress(source.bytes or 0, path.name, "B") as bar, ExitStack() as stack:
        client = None
        partial = Partial(path, source.bytes, bar)
        for written in source.sources:
            try:
                address = expanded(written)
                if address.lower().startswith(("http://", "https://")):
                    client = client or stack.enter_context(_client(timeout_s, headers))
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


def _client(timeout_s: float, headers: Mapping[str, str] | None) -> httpx.Client:
    client = http_client(timeout=timeout_s, follow_redirects=True, headers=headers)
    # A part of compressed content could not be continued.
    client.headers["Accept-Encoding"] = "identity"
    return client


def on_disk(address: str) -> Path | None:
    """The path that an address names; None if it is neither file:/// nor a path."""
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return None if "://" in address else Path(address)


def _from_http(
    client: httpx.Client,
    address: str,
    source: Source,
    partial: Partial,
    timeout_s: float,
    attempts: int,
) -> None:
    client.event_hooks = {"request": [lambda request: check_redirect(address, request)]}
    # The part that another mirror left may be wrong; finding out costs this one no attempt.
    attempts += partial.size_bytes > 0
    cause = ""
    tries = Tries(attempts)
    for _ in tries:
        resumed = partial.size_bytes > 0
        cause = transfer(client, address, partial, timeout_s, tries)
        if cause and source.sha256 == UNPINNED:
            # Without a hash, a part could pass as the whole, or be continued with a newer version.
            partial.path.unlink(missing_ok=True)
            continue
        mismatch = _mismatch(partial, source)
        if not mismatch:
            return
        cut_off = cause and (source.bytes is None or partial.size_bytes < source.bytes)
        if not cut_off:
            partial.path.unlink()
            if not resumed:
                raise StageError(mismatch)
            cause = mismatch
    size = partial.size_bytes
    part = f", got {size} of {source.bytes or 'unknown'} bytes" if size else ""
    raise StageError(f"{cause}{part} (attempt {attempts} of {attempts})")


def _from_disk(address: str, source: Source, partial: Partial) -> None:
    origin = on_disk(address)
    if origin is None:
        raise StageError("is neither http(s)://, file:/// nor a path")
    try:
        if not origin.is_file():
            raise StageError(f"is not there: {origin.absolute()} is not a file")
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
    """How the content differs from the expected, or "" if it does not."""
    size = partial.size_bytes
    if not size:
        return "is empty"
    if source.bytes is not None and size != source.bytes:
        found = f"over {source.bytes}" if size > source.bytes else size
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
            return not_the_file(file.read(200)) or mismatch
    return ""
