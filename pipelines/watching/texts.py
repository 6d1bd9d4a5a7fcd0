"""Reads the two samples: texts of the request log, and the champion's test split."""

import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from pipelines.promotion import isolated_model, version_data, version_files
from pipelines.serving import row_files
from pipelines.serving.request_log import DIGIT, redacted
from pipelines.tracking.connection import Project
from stages.model.decode import Span

UNKNOWN = "unknown"  # the type of a run of such characters, on the page


@dataclass(frozen=True)
class Text:
    """A text, what a version found in it, and what is there if somebody has said so."""

    text: str
    scores: Mapping[Span, float]
    """Entity that was found → its score."""
    gold: frozenset[Span] = frozenset()

    def unknown(self, known: frozenset[str]) -> list[Span]:
        """The runs of characters that are neither in `known` nor blank."""
        found, at = [], 0
        for new, run in groupby(self.text, lambda c: c not in known and not c.isspace()):
            start, at = at, at + len(list(run))
            if new:
                found.append(Span(start, at, UNKNOWN))
        return found


@dataclass(frozen=True)
class Reference:
    """What a version is known to do: its test split, and the characters that it was trained on."""

    texts: list[Text]
    known: frozenset[str]
    types: list[str]


def reference(project: Project, version: ModelVersion, model: Path) -> Reference:
    """Scores the version's own test split by its model, in the folder `model`.

    Raises:
        PipelineError: a split is missing, or the model does not run here.
    """
    tags = version_files.labels(model)
    split = version_data.read(project.folder, project.client, version, tags)
    found = isolated_model.answers(model, split.texts)
    return Reference(
        [
            Text(text, _scores(row), gold)
            for text, gold, row in zip(split.texts, split.gold, found, strict=True)
        ],
        version_data.training_characters(project.folder, project.client, version),
        version_files.types(model),
    )


def logged(folder: Path, version: str, since: datetime, until: datetime, most: int) -> list[Text]:
    """The texts that `version` answered after `since`, at most so many of them, drawn evenly."""
    kept = [("version", "==", version), ("time", ">", since), ("time", "<=", until)]
    rows = row_files.read(folder, kept)
    drawn = random.Random(0)  # noqa: S311
    some = heapq.nlargest(most, rows, key=lambda _: drawn.random())
    return [Text(row["text"], _scores(row["entities"])) for row in some if row["text"]]


def as_logged(sample: Sequence[Text], log: Iterable[Text]) -> list[Text]:
    """`sample` with 0 for each digit if the log is so, by `serve --redact-digits`."""
    if any(set(DIGIT.findall(text.text)) - {"0"} for text in log):
        return list(sample)
    return [replace(text, text=redacted(text.text)) for text in sample]


def _scores(entities: Iterable[Mapping[str, Any]]) -> dict[Span, float]:
    return {Span(e["start"], e["end"], e["type"]): e["score"] for e in entities}
