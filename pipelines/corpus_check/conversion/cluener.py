"""Reads CLUENER's JSON lines: labels by type and text, with inclusive ends."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.corpus_check.conversion.marks import Mark, located
from pipelines.corpus_check.conversion.source import Reading, Record, meta_of, objects
from pipelines.errors import PipelineError


def read_cluener(path: Path, reading: Reading) -> Iterator[Record]:
    """The records of a file such as `{"text": …, "label": {"name": {"安娜": [[0, 1]]}}}`.

    Raises:
        PipelineError: with file and line: not this form; what `located` refuses.
    """
    key = reading.text or "text"
    for where, record in objects(path):
        try:
            text = record.get(key)
            if not isinstance(text, str):
                raise ValueError(f"no text under the key {key!r}; name its key by --text")
            text, marks = located(text, _marks(record.get("label")), reading.offsets)
        except ValueError as error:
            raise PipelineError(f"{where}: {error}") from None
        spans = [(*mark.parts[0], mark.type) for mark in marks]
        yield Record(where, text, spans, meta_of(record, key))


def _marks(label: Any) -> list[Mark]:
    if not isinstance(label, dict):
        raise ValueError(
            "no object under the key 'label': CLUENER's test.json has no labels, so take dev.json"
            " to test with"
        )
    marks = []
    for type_, quote, place in _places(label):
        match place:
            case [int(first), int(last)]:
                marks.append(Mark(((first, last + 1),), type_, quote))
            case _:
                form = "{TEXT: [[FIRST, LAST], ...]}"
                raise ValueError(f"label {type_!r} is not of the form {form}")
    return marks


def _places(label: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Type, text and place of each entity; a place of None where the form is another."""
    for type_, entities in label.items():
        for quote, places in entities.items() if isinstance(entities, dict) else [("", None)]:
            for place in places if isinstance(places, list) else [None]:
                yield type_, quote, place
