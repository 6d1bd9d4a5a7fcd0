"""Gives the model the texts of several requests at once.

It never waits for more texts: while the model works the next ones gather, so that a lone request
is answered at once and a batch grows with the load. Everything but the model's longer batches runs
in the event loop's thread, so nothing is locked.
"""

import asyncio
import math
import time
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pipelines.serving.loading import Loaded, Row
from pipelines.serving.metrics import Metrics

BATCH_TEXTS, BATCH_CHARACTERS = 64, 4096
WAITING_CHARACTERS = 2**21
"""Of all requests but the first: with more, a request is refused."""
INLINE_S = 0.01
"""A batch that takes less is answered in the event loop's own thread."""
FIRST_SECONDS_A_CHARACTER = 1e-4  # until one was measured


class Overloaded(Exception):  # noqa: N818 - an event
    """More texts wait than the server holds.

    Attributes:
        retry_after_s: When they are probably answered.
    """

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the server is busy: try again in {retry_after_s} s")


@dataclass(eq=False)
class _Request:
    """A request's texts, all answered by one version."""

    loaded: Loaded
    texts: Sequence[Any]
    answered: "asyncio.Future[None]"
    rows: list[Row | None]
    left: int


@dataclass(eq=False)
class _Part:
    """Those of a request's texts that wait in a lane, by their index."""

    request: _Request
    indices: list[int]
    begun: int = 0


@dataclass
class _Lane:
    """A thread in which the model works; a long text has its own, so short ones do not wait."""

    parts: deque[_Part] = field(default_factory=deque)
    some: asyncio.Event = field(default_factory=asyncio.Event)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "model"))

    def add(self, part: _Part) -> None:
        if part.indices:
            self.parts.append(part)
            self.some.set()


class Batcher:
    """Answers requests by the version that serves when they come."""

    def __init__(self, loaded: Loaded, metrics: Metrics) -> None:
        self._loaded, self._metrics = loaded, metrics
        self._all = weakref.WeakSet([loaded])
        self._short, self._long = _Lane(), _Lane()
        self._waiting_characters = self._waiting_texts = 0
        self._seconds_a_character = FIRST_SECONDS_A_CHARACTER
        metrics.watch(lambda: self._waiting_texts, lambda: len(self._all))

    @property
    def loaded(self) -> Loaded:
        """The version that answers the next request."""
        return self._loaded

    def swap(self, loaded: Loaded) -> None:
        """Answers later requests by another version; the old one goes after its last request."""
        self._all.add(loaded)
        self._loaded = loaded

    async def answer(self, texts: Sequence[Any]) -> tuple[list[Row], str]:
        """The rows of a request's texts, and the version that gave them.

        Raises:
            Overloaded: if too many texts wait already.
        """
        sizes = [len(text) if isinstance(text, str) else 0 for text in texts]
        total = sum(sizes)
        if self._waiting_texts and self._waiting_characters + total > WAITING_CHARACTERS:
            raise Overloaded(self.retry_after_s())
        answered = asyncio.get_running_loop().create_future()
        request = _Request(self._loaded, texts, answered, [None] * len(texts), len(texts))
        self._waiting_characters += total
        self._waiting_texts += len(texts)
        long = [index for index, size in enumerate(sizes) if size > BATCH_CHARACTERS]
        kept = set(long)
        self._long.add(_Part(request, long))
        self._short.add(_Part(request, [i for i in range(len(texts)) if i not in kept]))
        await answered
        return [row for row in request.rows if row is not None], request.loaded.version

    def retry_after_s(self) -> int:
        """After how many seconds what waits now is probably answered: 1 to 60."""
        seconds = self._waiting_characters * self._seconds_a_character
        return min(60, max(1, math.ceil(seconds)))

    async def run(self) -> None:
        """Lets the model work until this is cancelled."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._work(self._short))
            lanes.create_task(self._work(self._long))

    async def _work(self, lane: _Lane) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await lane.some.wait()
            await asyncio.sleep(0)  # requests that came at once go together
            batch = self._take(lane)
            if not batch:
                lane.some.clear()
                continue
            loaded = batch[0][0].loaded
            texts = [request.texts[index] for request, index in batch]
            started, rows = time.perf_counter(), None
            try:
                if self._soon_done(texts):
                    rows = loaded.answer(texts)
                else:
                    rows = await loop.run_in_executor(lane.thread, loaded.answer, texts)
            except Exception as error:
                for request in {request for request, _ in batch}:
                    if not request.answered.done():
                        request.answered.set_exception(error)
                    del request
            else:
                seconds = time.perf_counter() - started
                self._metrics.took(loaded.version, texts, rows, seconds)
                self._give(batch, rows, seconds)
            del loaded, batch, texts, rows  # or an old version would stay until the next batch

    def _soon_done(self, texts: list[Any]) -> bool:
        """Whether the model takes less time than the loop may be kept from the network.

        In a thread of its own it and the loop would take Python's lock from each other at every
        system call: of short texts that took half the throughput.
        """
        return sum(map(_characters, texts)) * self._seconds_a_character < INLINE_S

    def _take(self, lane: _Lane) -> list[tuple[_Request, int]]:
        """The next batch, of one version: what a long request has left goes behind the others."""
        batch: list[tuple[_Request, int]] = []
        room = BATCH_CHARACTERS
        later: list[_Part] = []
        while lane.parts and len(batch) < BATCH_TEXTS and room > 0:
            part = lane.parts[0]
            if part.request.answered.done():  # its client has gone, or the model failed
                self._drop(lane.parts.popleft())
                continue
            if batch and part.request.loaded is not batch[0][0].loaded:
                break
            lane.parts.popleft()
            while part.begun < len(part.indices) and len(batch) < BATCH_TEXTS and room > 0:
                index = part.indices[part.begun]
                size = _characters(part.request.texts[index])
                if batch and size > room:
                    break
                batch.append((part.request, index))
                room -= size
                part.begun += 1
                self._waiting_texts -= 1
                self._waiting_characters -= size
            if part.begun < len(part.indices):
                later.append(part)
                room = 0
        lane.parts.extend(later)
        return batch

    def _drop(self, part: _Part) -> None:
        rest = part.indices[part.begun :]
        self._waiting_texts -= len(rest)
        self._waiting_characters -= sum(_characters(part.request.texts[i]) for i in rest)

    def _give(self, batch: list[tuple[_Request, int]], rows: list[Row], seconds: float) -> None:
        characters = sum(_characters(request.texts[index]) for request, index in batch)
        if characters:
            self._seconds_a_character += 0.1 * (seconds / characters - self._seconds_a_character)
        for (request, index), row in zip(batch, rows, strict=True):
            request.rows[index] = row
            request.left -= 1
            if not request.left and not request.answered.done():
                request.answered.set_result(None)


def _characters(text: Any) -> int:
    return len(text) if isinstance(text, str) else 0
