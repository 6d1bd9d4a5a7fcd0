"""One HTTP transfer that goes on from the bytes that are already there."""

import itertools
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NoReturn

import httpx
from tqdm import tqdm

from stages.contract.errors import StageError

PAUSE_S, PAUSE_MAX_S = 0.2, 5.0
RETRIED = (408, 425, 429, 500, 502, 503, 504)
HINTS = {
    401: ": it is private, or not there",  # the Hugging Face hub does not say which
    404: ": it was moved, or its branch renamed",
}
HTML = "is an HTML page, not the file"
POINTER = (
    "is a Git LFS pointer, not the file: fetch the file with git-lfs, and in an address of the"
    " Hugging Face hub write /resolve/ in place of /raw/"
)


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


@dataclass
class Tries:
    """Counts to `attempts`, with a pause before each but the first."""

    attempts: int
    asked_s: float = 0.0  # the next pause, where the server asked for a longer one

    def __iter__(self) -> Iterator[int]:
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(max(self.asked_s, min(PAUSE_S * 2 ** (attempt - 1), PAUSE_MAX_S)))
                self.asked_s = 0.0
            yield attempt


def transfer(
    client: httpx.Client, address: str, partial: Partial, timeout_s: float, tries: Tries
) -> str:
    """Makes one request, for the rest of `partial`.

    Returns:
        "" if the server sent all it has, else why it did not: that is worth another attempt, which
        `tries` makes when the server asked for it.

    Raises:
        StageError: what another attempt would not change.
    """
    held = partial.held_bytes
    asked = {"Range": f"bytes={held}-"} if held else {}
    encoded = False
    try:
        with client.stream("GET", address, headers=asked) as response:
            encoded = _is_encoded(response)
            cause = _refusal(response, held)
            if cause:
                tries.asked_s = pause_s(response.headers, timeout_s, cause)
                if response.status_code in (206, 416):  # what is held is no part of this file
                    partial.path.unlink(missing_ok=True)
                return cause
            # A server that ignores Range starts over with 200.
            append = response.status_code == 206
            chunks = response.iter_bytes()
            first = next(chunks, b"")
            if not append and (wrong := no_file(first)):
                raise StageError(wrong)
            partial.write(itertools.chain([first], chunks), append=append)
            if response.headers.keys() & {"content-length", "transfer-encoding"}:
                return ""
            return "closed the connection"  # whether that was the end, nobody can tell
    except httpx.TooManyRedirects:
        raise StageError("redirects in a circle") from None
    except httpx.RequestError as error:
        if encoded:  # a range counts compressed bytes, so what came cannot be continued
            partial.path.unlink(missing_ok=True)
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
        raise StageError(status + HINTS.get(response.status_code, ""))
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise StageError(HTML)
    if response.status_code == 206:
        if _is_encoded(response):
            return "sent a range of compressed content"
        content_range = response.headers.get("Content-Range", "")
        start = re.match(r"bytes (\d+)-", content_range)
        if start is None or int(start[1]) != held_bytes:
            return f"sent {content_range or 'some range'} when asked for bytes {held_bytes}-"
    return ""


def _is_encoded(response: httpx.Response) -> bool:
    """Whether it is compressed, by a proxy say, although that was not asked for."""
    encoding: str = response.headers.get("Content-Encoding", "identity")
    return encoding.lower() != "identity"


def pause_s(headers: Mapping[str, str], most_s: float, cause: str) -> float:
    """Seconds that a busy server asks to wait, 0 if it names none.

    It says so in Retry-After (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after) or, as the
    Hugging Face hub, in RateLimit (https://huggingface.co/docs/hub/rate-limits).

    Raises:
        StageError: more than `most_s`.
    """
    after = headers.get("retry-after", "")
    limit = re.search(r";\s*r=0;\s*t=(\d+)", headers.get("ratelimit", ""))
    if limit or after.isdecimal():
        seconds = float(limit[1] if limit else after)
    else:
        try:
            seconds = (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):  # none, or no date; or one without a time zone
            return 0.0
    if seconds > most_s:
        raise StageError(
            f"{cause} and asks to wait {seconds:.0f} s, more than download.timeout_s: try again"
            " after that, or raise it"
        )
    return max(seconds, 0.0)


def no_file(head: bytes) -> str:
    """What content that begins with `head` is in place of the file, or ""."""
    if head[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html")):
        return HTML
    return POINTER if head.startswith(b"version https://git-lfs.github.com/spec/") else ""


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
