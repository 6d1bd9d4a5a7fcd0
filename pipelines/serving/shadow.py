"""Scores a sample of what the champion answers with another version too, and keeps the differences.

Both are answered in this process, the second one by a thread of low priority behind a bounded
queue: if it does not keep up, texts are dropped and no request waits.
"""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.registry.registry import Registry
from pipelines.serving import disagreements
from pipelines.serving.follow import Follower
from pipelines.serving.loading import Loaded, Row
from pipelines.serving.metrics import Metrics, Shadowed
from pipelines.serving.row_files import RowFiles
from pipelines.serving.sampling import Sample, Seen

# Not 19: a thread that has Python's lock would wait long for a core, and all others for the lock.
NICENESS = 10
logger = logging.getLogger("pipelines.serving")


@dataclass(frozen=True)
class Plan:
    """What to score beside the champion.

    Attributes:
        pin: A version's number; None: follow `alias`.
        alias: An alias of the registered model.
        sample: The share of texts, 0 to 1.
        folder: Where the files go, in a folder of the model's name.
    """

    pin: str | None
    alias: str
    sample: float
    folder: Path


class Shadow:
    """The second version, its queue and its files."""

    def __init__(self, plan: Plan, registry: Registry, metrics: Metrics, every_s: float) -> None:
        """Loads nothing yet; looks for a version every `every_s` seconds.

        Raises:
            PipelineError: if nothing can be written to the folder.
        """
        self._files = RowFiles(plan.folder / registry.model, disagreements.SCHEMA)
        self._metrics = Shadowed(metrics.registry)
        self._sample = Sample(plan.sample, self._metrics.texts.labels("dropped").inc)
        self._loaded: Loaded | None = None
        self._every_s = every_s
        self._follower = Follower(
            registry, self._metrics.followed, plan.pin, plan.alias, drop=self.drop
        )
        metrics.tell(self.saw)

    def saw(self, version: str, texts: Sequence[Any], rows: Sequence[Row]) -> None:
        """Takes the sample of a batch that was answered; never waits."""
        loaded = self._loaded
        if loaded is None or loaded.version == version:
            return
        self._sample.put(version, texts, rows)

    def start(self, stop: threading.Event) -> list[threading.Thread]:
        """Starts its threads, which end after `stop`, one of them with a last file."""
        threads = [
            threading.Thread(target=self._follow, args=(stop,), daemon=True),
            threading.Thread(target=self.run, args=(stop,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        return threads

    def _follow(self, stop: threading.Event) -> None:
        _lower_priority()  # which ONNX Runtime's own threads inherit
        self._follower.run(self.swap, self._every_s, stop)

    def swap(self, loaded: Loaded) -> None:
        """Scores by another version from now on."""
        self._loaded = loaded

    def drop(self) -> None:
        """Scores nothing from now on."""
        self._loaded = None

    def run(self, stop: threading.Event) -> None:
        """Scores what was taken until `stop` is set, then writes the last file."""
        _lower_priority()
        while not stop.is_set():
            if batch := self._sample.take():
                try:
                    self._compare(batch)
                except Exception:  # of the version's own code: requests go on
                    self._metrics.texts.labels("failed").inc(len(batch))
                    logger.exception("the shadow failed")
            self._files.write_if_due()
        self._files.write()

    def _compare(self, batch: list[Seen]) -> None:
        loaded = self._loaded
        if loaded is None:
            return
        # One of them may have been exchanged since.
        batch = [seen for seen in batch if seen.version != loaded.version]
        if not batch:
            return
        rows = loaded.answer([seen.text for seen in batch])
        for seen, row in zip(batch, rows, strict=True):
            if row["error"] is not None:
                self._metrics.texts.labels("failed").inc()
                continue
            found = disagreements.differences(seen.text, seen.entities, row["entities"])
            for each in found:
                self._metrics.disagreements.labels(each["kind"]).inc()
            self._files.add(
                {
                    "time": datetime.now(UTC),
                    "champion": seen.version,
                    "challenger": loaded.version,
                    "text": seen.text if found else None,
                    "differences": found,
                }
            )
            self._metrics.texts.labels("different" if found else "same").inc()


def _lower_priority() -> None:
    """Of this thread alone: Linux has one for each."""
    thread = threading.get_native_id()
    lower = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
    os.setpriority(os.PRIO_PROCESS, thread, min(19, lower))
