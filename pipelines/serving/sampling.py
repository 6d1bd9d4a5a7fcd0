"""Takes a share of what is answered to a thread of its own, behind a queue that drops."""

import queue
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipelines.serving.loading import Row

QUEUE_TEXTS, TEXT_CHARACTERS = 512, 4096
"""What waits at most; a longer text is dropped, so that 512 of them are 8 MB."""
BATCH_TEXTS = 8
WAIT_S = 0.5


@dataclass(frozen=True)
class Seen:
    """A text that a version answered without an error."""

    version: str
    text: str
    entities: Sequence[dict[str, Any]]


class Sample:
    """One thread puts texts in, which never waits, another takes them."""

    def __init__(self, share: float, dropped: Callable[[], None]) -> None:
        """Takes the share of texts, 0 to 1, and what is called for one that does not fit."""
        self._share, self._dropped = share, dropped
        self._queue: queue.Queue[Seen] = queue.Queue(QUEUE_TEXTS)

    def put(self, version: str, texts: Sequence[Any], rows: Sequence[Row]) -> None:
        """Takes the sample of a batch that was answered."""
        for text, row in zip(texts, rows, strict=True):
            if row["error"] is not None or random.random() >= self._share:  # noqa: S311
                continue
            try:
                if len(text) > TEXT_CHARACTERS:
                    raise queue.Full
                self._queue.put_nowait(Seen(version, text, row["entities"]))
            except queue.Full:
                self._dropped()

    def take(self) -> list[Seen]:
        """The next texts; none after half a second without any."""
        batch: list[Seen] = []
        with suppress(queue.Empty):
            batch.append(self._queue.get(timeout=WAIT_S))
            while len(batch) < BATCH_TEXTS:
                batch.append(self._queue.get_nowait())
        return batch
