"""Reads doccano's exports of sequence labelling, of all its versions."""

import json
from collections.abc import Iterator, Mapping
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

TEXTS = ("text", "data")  # "data" is that of 1.5
# JSONL(relation); JSONL of 0.x, with numbers of labels; JSONL; JSONL(text label) of 0.x.
SPANS = ("entities", "annotations", "label", "labels")


def read_doccano(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of an export; comments are not kept, and relations counted in `reading.left_out`.

    Raises:
        PipelineError: with file and line: not this form; a label whose name is not known; what
            `located` refuses.
    """
    for where, record in objects(path):
        texts = (reading.text,) if reading.text else TEXTS
        key = next((key for key in texts if isinstance(record.get(key), str)), None)
        spans = next((record[k] for k in SPANS if isinstance(record.get(k), list)), None)
        try:
            if key is None:
                raise ValueError(f"no text under {' or '.join(texts)}; name its key by --text")
            if spans is None:
                raise ValueError(f"no list under {', '.join(SPANS)}")
            marks = [_mark(span, reading.labels) for span in spans]
            text, marks = located(record[key], marks, reading.offsets)
            relations = listed_objects(record.get("relations") or [], "relations")
        except ValueError as error:
            raise PipelineError(f"{where}: {error}") from None
        reading.left_out["relations"] += len(relations)
        own = record.get("meta")
        meta = meta_of({**(own if isinstance(own, dict) else {}), **record}, key)
        yield Record(where, text, [(*mark.parts[0], mark.type) for mark in marks], meta)


def label_names(path: Path) -> dict[int, str]:
    """Names of labels by number: `{"1": "PER"}`, or doccano's `[{"id": 1, "text": "PER"}]`.

    Raises:
        PipelineError: it is neither.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        pairs = found.items() if isinstance(found, dict) else ((e["id"], e["text"]) for e in found)
        return {int(number): str(name) for number, name in pairs}
    except (ValueError, LookupError, TypeError) as error:
        raise PipelineError(
            f'{path} is neither {{"1": "PER"}} nor [{{"id": 1, "text": "PER"}}]'
            f" ({type(error).__name__})"
        ) from None


def _mark(span: Any, names: Mapping[int, str]) -> Mark:
    match span:
        case [int(start), int(end), str(type_)]:
            return Mark(((start, end),), type_)
        case {"start_offset": int(start), "end_offset": int(end), "label": str(type_)}:
            return Mark(((start, end),), type_)
        case {"start_offset": int(start), "end_offset": int(end), "label": int(number)}:
            if number in names:
                return Mark(((start, end),), names[number])
            raise ValueError(
                f"label {number} has no name in this export; name a file with it by --labels:"
                f' {{"{number}": "NAME", ...}}'
            )
    raise ValueError(
        f"{json.dumps(span, ensure_ascii=False)[:80]} is neither [start, end, type] nor an object"
        " with start_offset, end_offset and label"
    )
