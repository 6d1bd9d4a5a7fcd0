"""One HTTP transfer that goes on from the bytes that are already there."""

import itertools
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
from tqdm import tqdm

from stages.contract.errors import StageError

PAUSE_S, PAUSE_MAX_S = 0.2, 5.0
RETRIED = (408, 425, 429, 500, 502, 503, 504)
HTML = "is an HTML page, not the file"


@dataclass
class Partial:
    """What has come of a file so far."""

    path: Path
    expected_bytes: int | None
    bar: "tqdm[NoReturn]"
    fetched_bytes: int = 0  # those fetched in vain included

    @property
    def held_bytes(self) -> int:
        """Present size."""
        return self.path.stat().st_size if self.path.exists() else 0

    def write(self, chunks: Iterable[bytes], *, append: bool) -> None:
        """Writes `chunks`, one byte over the expected size at most: an endless one ends here."""
        size = self.held_bytes if append else 0
        with self.path.open("ab" if append else "wb") as file:
            for chunk in chunks:
                if self.expected_bytes is not None:
                    chunk = chunk[: self.expected_bytes + 1 - size]
                file.write(chunk)
                size += len(chunk)
                self.fetched_bytes += len(chunk)
                self.bar.update(size - self.bar.n)
                if self.expected_bytes is not None and size > self.expected_bytes:
                    return


def transfer(client: httpx.Client, address: str, partial: Partial, timeout_s: float) -> str:
    """Makes one request, for the rest of `partial`.

    Returns:
        "" if the server sent all it has, else why it did not: that is worth another attempt.

    Raises:
        StageError: what another attempt would not change.
    """
    held = partial.held_bytes
    asked = {"Range": f"bytes={held}-"} if held else {}
    try:
        with client.stream("GET", address, headers=asked) as response:
            cause = _refusal(response, held)
            if cause:
                if response.status_code in (206, 416):  # what is held is no part of this file
                    partial.path.unlink(missing_ok=True)
                return cause
            # A server that ignores Range starts over with 200.
            append = response.status_code == 206
            chunks = response.iter_bytes()
            first = next(chunks, b"")
            if not append and is_html(first):
                raise StageError(HTML)
            partial.write(itertools.chain([first], chunks), append=append)
            if response.headers.keys() & {"content-length", "transfer-encoding"}:
                return ""
            return "closed the connection"  # whether that was the end, nobody can tell
    except httpx.RequestError as error:
        return transport_cause(error, timeout_s)
    except httpx.InvalidURL:  # its words may hold a part of a password
        raise StageError("is not an address") from None


def _refusal(response: httpx.Response, held_bytes: int) -> str:
    """Why the answer is not the rest of the file, or ""."""
    status = f"answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in RETRIED:
        return status
    if response.status_code == 416 and held_bytes:
        return f"has nothing after the first {held_bytes} bytes"
    if response.status_code not in (200, 206):
        raise StageError(status)
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise StageError(HTML)
    if response.status_code == 206:
        content_range = response.headers.get("Content-Range", "")
        start = re.match(r"bytes (\d+)-", content_range)
        if start is None or int(start[1]) != held_bytes:
            return f"sent {content_range or 'some range'} when asked for bytes {held_bytes}-"
    return ""


def is_html(head: bytes) -> bool:
    """Whether content that begins with `head` is an HTML page."""
    return head[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html"))


def transport_cause(error: httpx.RequestError, timeout_s: float) -> str:
    """Says what happened, without the address: that may hold a secret."""
    host = error.request.url.netloc.decode()
    if isinstance(error, httpx.ConnectTimeout):
        return f"{host} took no connection for {timeout_s:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"{host} sent nothing for {timeout_s:g} s"
    if isinstance(error, httpx.ConnectError):
        return f"{host} cannot be reached ({error})"
    return f"{host} broke off ({str(error) or type(error).__name__})"


def tries(attempts: int) -> Iterator[int]:
    """Counts to `attempts`, with a pause before each but the first."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(min(PAUSE_S * 2 ** (attempt - 1), PAUSE_MAX_S))
        yield attempt
