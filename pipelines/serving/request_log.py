"""Keeps a sample of what was asked and answered, to watch traffic by, in files of bounded size."""

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from prometheus_client import Counter

from pipelines.prediction.resumable_output import ENTITY
from pipelines.serving.metrics import Metrics
from pipelines.serving.row_files import RowFiles
from pipelines.serving.sampling import Sample, Seen

SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("ms", "UTC")),
        ("version", pa.string()),
        ("text", pa.string()),
        ("entities", pa.list_(ENTITY)),
    ]
)
DIGIT = re.compile(r"\d")  # also full-width ones and those of other scripts


@dataclass(frozen=True)
class LogPlan:
    """What to keep.

    Attributes:
        sample: The share of texts, 0 to 1.
        folder: Where the files go, in a folder of the model's name.
        redact: Each digit becomes 0: telephone, account and identity numbers are not kept.
    """

    sample: float
    folder: Path
    redact: bool


class RequestLog:
    """The sample and its files."""

    def __init__(self, plan: LogPlan, model: str, metrics: Metrics) -> None:
        """Keeps nothing before `start`.

        Raises:
            PipelineError: if nothing can be written to the folder.
        """
        self._redact = plan.redact
        self._files = RowFiles(plan.folder / model, SCHEMA)
        self._texts = Counter(
            "ner_logged_texts", "Texts of the log.", ["result"], registry=metrics.registry
        )
        self._sample = Sample(plan.sample, self._texts.labels("dropped").inc)
        metrics.tell(self._sample.put)

    def start(self, stop: threading.Event) -> list[threading.Thread]:
        """Starts its thread, which ends after `stop` with a last file."""
        thread = threading.Thread(target=self._run, args=(stop,), daemon=True)
        thread.start()
        return [thread]

    def _run(self, stop: threading.Event) -> None:
        while True:
            ending = stop.is_set()
            batch = self._sample.take()
            for seen in batch:
                self._files.add(self._row(seen))
            self._texts.labels("kept").inc(len(batch))
            self._files.write_if_due()
            if ending and not batch:
                break
        self._files.write()

    def _row(self, seen: Seen) -> dict[str, object]:
        text = redacted(seen.text) if self._redact else seen.text
        entities = [{**e, "text": text[e["start"] : e["end"]]} for e in seen.entities]
        return {
            "time": datetime.now(UTC),
            "version": seen.version,
            "text": text,
            "entities": entities,
        }


def redacted(text: str) -> str:
    """The text with 0 for each digit."""
    return DIGIT.sub("0", text)
