"""One HTTP transfer, which continues a partial file."""

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
    401: ": it is private or does not exist",  # the Hugging Face hub does not say which
    404: ": it was moved, or its branch was renamed",
}
HTML = "is an HTML page, not the file"
POINTER = (
    "is a Git LFS pointer, not the file: fetch the file with git-lfs, and in an address of the"
    " Hugging Face hub write /resolve/ instead of /raw/"
)


@dataclass
class Partial:
    """The part of a file that has been fetched so far."""

    path: Path
    expected_bytes: int | None
    bar: "tqdm[NoReturn]"
    fetched_bytes: int = 0  # including those of failed attempts

    @property
    def size_bytes(self) -> int:
        """Current size."""
        return self.path.stat().st_size if self.path.exists() else 0

    def write(self, chunks: Iterable[bytes], *, append: bool) -> None:
        """Writes `chunks`, but stops one byte past the expected size: a stream may be endless."""
        size = self.size_bytes if append else 0
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
    """Yields `attempts` times, with a pause before each time but the first."""

    attempts: int
    least_pause_s: float = 0.0  # of the next pause, as a busy server asked

    def __iter__(self) -> Iterator[int]:
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(max(self.least_pause_s, min(PAUSE_S * 2 ** (attempt - 1), PAUSE_MAX_S)))
                self.least_pause_s = 0.0
            yield attempt


def transfer(
    client: httpx.Client, address: str, partial: Partial, timeout_s: float, tries: Tries
) -> str:
    """Makes one request, for the rest of `partial`.

    Returns:
        "" if the server sent all it has; else the cause, which is worth another attempt. `tries`
        then pauses as long as the server asked.

    Raises:
        StageError: another attempt would fail as well.
    """
    size = partial.size_bytes
    headers = {"Range": f"bytes={size}-"} if size else {}
    encoded = False
    try:
        with client.stream("GET", address, headers=headers) as response:
            encoded = _is_encoded(response)
            cause = _refusal(response, size)
            if cause:
                tries.least_pause_s = pause_s(response.headers, timeout_s, cause)
                if response.status_code in (206, 416):  # the bytes so far are of another file
                    partial.path.unlink(missing_ok=True)
                return cause
            # A server that ignores Range starts over with 200.
            append = response.status_code == 206
            chunks = response.iter_bytes()
            first = next(chunks, b"")
            if not append and (wrong := not_the_file(first)):
                raise StageError(wrong)
            partial.write(itertools.chain([first], chunks), append=append)
            if response.headers.keys() & {"content-length", "transfer-encoding"}:
                return ""
            return "closed the connection"  # at the end or not: the headers do not tell
    except httpx.TooManyRedirects:
        raise StageError("redirects in a circle") from None
    except httpx.RequestError as error:
        if encoded:  # a range counts compressed bytes, so this part cannot be continued
            partial.path.unlink(missing_ok=True)
        return transport_cause(error, timeout_s)
    except httpx.InvalidURL:  # the error may quote a part of a password
        raise StageError("is not a valid address") from None


def _refusal(response: httpx.Response, size_bytes: int) -> str:
    """Why the answer is not the rest of the file, or "" if it is."""
    status = f"answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in RETRIED:
        return status
    if response.status_code == 416 and size_bytes:
        return f"has nothing after the first {size_bytes} bytes"
    if response.status_code not in (200, 206):
        raise StageError(status + HINTS.get(response.status_code, ""))
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise StageError(HTML)
    if response.status_code == 206:
        if _is_encoded(response):
            return "sent a range of compressed content"
        content_range = response.headers.get("Content-Range", "")
        start = re.match(r"bytes (\d+)-", content_range)
        if start is None or int(start[1]) != size_bytes:
            return f"sent {content_range or 'some range'} when asked for bytes {size_bytes}-"
    return ""


def _is_encoded(response: httpx.Response) -> bool:
    """Whether the content is compressed, although not asked for: by a proxy, for example."""
    encoding: str = response.headers.get("Content-Encoding", "identity")
    return encoding.lower() != "identity"


def pause_s(headers: Mapping[str, str], most_s: float, cause: str) -> float:
    """Seconds that a busy server asks to wait; 0 if it names none.

    Read from Retry-After (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after) or the Hugging
    Face hub's RateLimit (https://huggingface.co/docs/hub/rate-limits).

    Raises:
        StageError: they are more than `most_s`.
    """
    after = headers.get("retry-after", "")
    limit = re.search(r";\s*r=0;\s*t=(\d+)", headers.get("ratelimit", ""))
    if limit or after.isdecimal():
        seconds = float(limit[1] if limit else after)
    else:
        try:
            seconds = (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):  # no header, no date, or one without a time zone
            return 0.0
    if seconds > most_s:
        raise StageError(
            f"{cause} and asks to wait {seconds:.0f} s, more than download.timeout_s: try again"
            " later, or raise it"
        )
    return max(seconds, 0.0)


def not_the_file(head: bytes) -> str:
    """What content that begins with `head` is instead of the file, or "" if unknown."""
    if head[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html")):
        return HTML
    return POINTER if head.startswith(b"version https://git-lfs.github.com/spec/") else ""


def transport_cause(error: httpx.RequestError, timeout_s: float) -> str:
    """What happened, without the address, which may contain a secret."""
    host = error.request.url.netloc.decode()
    if isinstance(error, httpx.ConnectTimeout):
        return f"{host} accepted no connection for {timeout_s:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"{host} sent nothing for {timeout_s:g} s"
    if isinstance(error, httpx.ConnectError):
        return f"{host} cannot be reached ({error})"
    return f"the transfer from {host} failed ({str(error) or type(error).__name__})"
