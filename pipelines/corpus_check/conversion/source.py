"""What is read of an export: texts with their entities, and counts of what is left out."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.corpus_check.conversion.marks import Unit
from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs
from stages.corpus.formats.overlaps import Span
from stages.corpus.formats.records import records

Discontinuous = Literal["refuse", "cover", "drop"]


@dataclass(frozen=True)
class Reading:
    """How exports are read, and what is left out of them.

    Attributes:
        text: Key of the text; None: the usual one of the tool.
        offsets: What an offset counts; None: what fits the quoted entities.
        discontinuous: What becomes of an entity in several parts.
        labels: Names of doccano's numbers of labels.
        left_out: What a corpus cannot have → how many of it.
    """

    text: str | None = None
    offsets: Unit | None = None
    discontinuous: Discontinuous = "refuse"
    labels: Mapping[int, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Record:
    """A text, its entities in code points, and other keys with texts, numbers or booleans."""

    where: str
    text: str
    spans: list[Span]
    meta: dict[str, Any]


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the content of each JSON object of a file: one a line, or in one array.

    Raises:
        PipelineError: with file and line: not UTF-8, not JSON, no object.
    """
    try:
        for where, line in records(path, Repairs()):
            try:
                found = json.loads(line)
            except json.JSONDecodeError as error:
                raise PipelineError(f"{where}: not JSON ({error})") from None
            if not isinstance(found, dict):
                raise PipelineError(f"{where}: {line[:40]} is not a JSON object")
            yield where, found
    except StageError as error:
        raise PipelineError(str(error)) from None


def listed_objects(value: Any, name: str) -> list[dict[str, Any]]:
    """`value`, if it is a list of JSON objects; else a ValueError that names it."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise ValueError(f"{name} is not a list of objects: {json.dumps(value)[:60]}")


def meta_of(record: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """The texts, numbers and booleans of `record`, except under the keys that are ours."""
    ours = {"text", "label", *without}
    kinds = str | int | float | bool
    return {k: v for k, v in record.items() if isinstance(v, kinds) and k not in ours}
