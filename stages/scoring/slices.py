"""Named slices of the test split: their sentences and their scores."""

import json
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.contract.errors import StageError, listed
from stages.params.evaluate import Slice
from stages.scoring.mistakes import Judged
from stages.scoring.spans import Counts, Figures, SparseCounts, counts, figures
from stages.text.windows_table import Aligned


@dataclass(frozen=True)
class Members:
    """The sentences of a slice."""

    slice: str
    """Its name."""
    type: str | None
    """The entity type that counts; None: all."""
    sentences: Sequence[int]
    """Their numbers in the split, ascending."""


def members(
    slices: Mapping[str, Slice], parts: Iterable[Aligned], types: Collection[str]
) -> list[Members]:
    """The sentences in each slice.

    Args:
        slices: By name.
        parts: The sentences of the split, with their metadata, some after the other.
        types: The entity types of the labels.

    Raises:
        StageError: a slice names a type or a metadata column that does not exist.
    """
    numbers = {name: array("i") for name in slices}
    columns, start = set[str](), 0
    for split in parts:
        texts = ["".join(cells) for cells in split.sentence_cells()]
        meta = split.sentence_meta()
        columns = columns.union(*meta)
        for name, wanted in slices.items():
            numbers[name].extend(start + number for number in _matching(wanted, texts, meta))
        start += len(texts)
        del split, texts, meta  # else two parts would be in memory at once
    for name, wanted in slices.items():
        _check(name, wanted, types, columns)
    return [Members(name, wanted.type, numbers[name]) for name, wanted in slices.items()]


def _matching(
    wanted: Slice, texts: Sequence[str], meta: Sequence[Mapping[str, Any]]
) -> Iterator[int]:
    expression = re.compile(wanted.pattern or "")
    most = wanted.max_characters or float("inf")
    for number, (text, values) in enumerate(zip(texts, meta, strict=True)):
        if (
            (wanted.min_characters or 0) <= len(text) <= most
            and expression.search(text)
            and (wanted.meta or {}).items() <= values.items()
        ):
            yield number


def slice_scores(slices: Iterable[Members], judged: Sequence[Judged]) -> dict[str, Figures]:
    """`figures` of each slice, and its number of sentences."""
    return {
        each.slice: figures(found) | {"sentences": len(found)}
        for each, found in slice_counts(slices, judged)
    }


def slice_counts(
    slices: Iterable[Members], judged: Sequence[Judged]
) -> Iterator[tuple[Members, Counts]]:
    """Yields each slice with the counts of its sentences [sentences, 3]."""
    of_types: dict[str | None, SparseCounts] = {}
    for each in slices:
        if each.type not in of_types:
            of_types[each.type] = SparseCounts.of(counts(judged, each.type))
        yield each, of_types[each.type].dense[np.array(each.sentences, np.intp)]


def write_members(path: Path, slices: Iterable[Members]) -> None:
    """Writes one line of JSON per slice, from which another model can be scored on it."""
    with path.open("w", encoding="utf-8") as file:
        for each in slices:
            row = vars(each) | {"sentences": [*each.sentences]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_members(lines: Iterable[str]) -> list[Members]:
    """Reads what `write_members` wrote."""
    return [Members(**json.loads(line)) for line in lines]


def _check(name: str, wanted: Slice, types: Collection[str], columns: Collection[str]) -> None:
    about = f"evaluate.slices.{name}"
    if wanted.type is not None and wanted.type not in types:
        raise StageError(
            f"{about}.type is {wanted.type}, but the labels have only {listed(sorted(types))};"
            " correct the type"
        )
    lacking = sorted(set(wanted.meta or {}) - set(columns))
    if lacking:
        raise StageError(
            f"{about}.meta names {', '.join(lacking)}, but the test split has"
            f" {', '.join(sorted(columns)) or 'no metadata'}; correct the name, or align a corpus"
            " that has it"
        )
