"""Reads Label Studio's exports JSON and JSON-MIN of labelled text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.corpus_check.conversion.marks import Mark, located
from pipelines.corpus_check.conversion.source import (
    Reading,
    Record,
    listed_objects,
    meta_of,
    objects,
)
from pipelines.errors import PipelineError


def read_label_studio(path: Path, reading: Reading) -> Iterator[Record]:
    """The tasks of an export, each with its one annotation.

    Cancelled annotations, predictions and tasks without an annotation are left out; of several
    annotations the ground truth counts, or all if they are equal.

    Raises:
        PipelineError: with the task: not this form; annotations that differ; labels of HTML; what
            `located` refuses.
    """
    for where, task in objects(path):
        place = f"{where} (task {task['id']})" if "id" in task else where
        try:
            found = _annotated(task, reading)
            if found is None:
                reading.left_out["tasks without an annotation"] += 1
                continue
            data, marks, others = found
            key = _text_key(data, reading.text)
            text, marks = located(data[key], marks, reading.offsets)
        except ValueError as error:
            raise PipelineError(f"{place}: {error}") from None
        spans = [(*mark.parts[0], mark.type) for mark in marks]
        yield Record(place, text, spans, {**meta_of(data, key, *others), **meta_of(task, key)})


def is_min(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of JSON-MIN, with a label at least."""
    return bool(_label_keys(record))


def _annotated(
    task: Mapping[str, Any], reading: Reading
) -> tuple[Mapping[str, Any], list[Mark], Sequence[str]] | None:
    """The task's data, its marks, and keys that are no metadata; None: it has no annotation."""
    given = task.get("annotations", task.get("completions"))  # the latter before 1.0
    if not isinstance(task.get("data"), dict) or not isinstance(given, list):
        keys = _label_keys(task)
        values = [value for key in keys for value in task[key]]
        own = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")
        return task, [mark for value in values for mark in _of(value)], own
    given = listed_objects(given, "annotations")
    there = [each for each in given if not each.get("was_cancelled")]
    reading.left_out["cancelled annotations"] += len(given) - len(there)
    there = [each for each in there if each.get("ground_truth")] or there
    if not there:
        return None
    results = [listed_objects(each.get("result") or [], "result") for each in there]
    several = [_marks(each, reading) for each in results]
    if any(set(marks) != set(several[0]) for marks in several):
        raise ValueError(
            f"{len(several)} annotations differ; mark one of them as ground truth in Label Studio,"
            " or delete the others"
        )
    return task["data"], several[0], ()


def _marks(results: Sequence[Mapping[str, Any]], reading: Reading) -> list[Mark]:
    marks = []
    for result in results:
        kind, value = result.get("type"), result.get("value")
        if kind == "hypertextlabels":
            raise ValueError("it labels HTML, whose offsets are not those of a text")
        if kind == "labels" and isinstance(value, dict):
            marks += _of(value)
        else:
            reading.left_out["relations" if kind == "relation" else f"results of type {kind}"] += 1
    return marks


def _of(value: Mapping[str, Any]) -> list[Mark]:
    """One mark for each label: a region may have several."""
    match value:
        case {"start": int(start), "end": int(end), "labels": list(labels)}:
            quote = value.get("text")
            quote = quote if isinstance(quote, str) and quote else None
            return [Mark(((start, end),), str(label), quote) for label in labels]
    raise ValueError(
        f"{json.dumps(value, ensure_ascii=False)[:80]} has no numbers start and end, and labels"
    )


def _label_keys(record: Mapping[str, Any]) -> list[str]:
    """The keys of a JSON-MIN record with labels of text."""
    return [
        key
        for key, value in record.items()
        if isinstance(value, list)
        and value
        and all(isinstance(each, dict) and "labels" in each for each in value)
    ]


def _text_key(data: Mapping[str, Any], wanted: str | None) -> str:
    texts = [key for key, value in data.items() if isinstance(value, str)]
    if (key := wanted or "text") in texts:
        return key
    if wanted is None and len(texts) == 1:
        return texts[0]
    raise ValueError(
        f"no text under the key {key!r}, but under {', '.join(texts) or 'none'}; name it by --text"
    )
