"""Named slices of the test split: their sentences and their scores."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.contract.errors import StageError, listed
from stages.params.evaluate import Slice
from stages.scoring.mistakes import Judged
from stages.scoring.spans import Figures, counts, figures
from stages.text.windows_table import Aligned


@dataclass(frozen=True)
class Members:
    """The sentences of a slice."""

    slice: str
    """Its name."""
    type: str | None
    """The entity type that counts; None: all."""
    sentences: list[int]
    """Their numbers in the split, ascending."""


def members(slices: Mapping[str, Slice], split: Aligned, types: Collection[str]) -> list[Members]:
    """The sentences of `split` in each slice.

    Args:
        slices: By name.
        split: The sentences, with their metadata.
        types: The entity types of the labels.

    Raises:
        StageError: a slice names a type or a metadata column that does not exist.
    """
    texts = ["".join(cells) for cells in split.sentence_cells()]
    meta = split.sentence_meta()
    found = []
    for name, wanted in slices.items():
        _check(name, wanted, types, set[str]().union(*meta))
        expression = re.compile(wanted.pattern or "")
        most = wanted.max_characters or float("inf")
        numbers = [
            number
            for number, (text, values) in enumerate(zip(texts, meta, strict=True))
            if (wanted.min_characters or 0) <= len(text) <= most
            and expression.search(text)
            and (wanted.meta or {}).items() <= values.items()
        ]
        found.append(Members(name, wanted.type, numbers))
    return found


def slice_scores(slices: Iterable[Members], judged: Sequence[Judged]) -> dict[str, Figures]:
    """`figures` of each slice, and its number of sentences."""
    return {
        each.slice: figures(counts([judged[number] for number in each.sentences], each.type))
        | {"sentences": len(each.sentences)}
        for each in slices
    }


def write_members(path: Path, slices: Iterable[Members]) -> None:
    """Writes one line of JSON per slice, from which another model can be scored on it."""
    lines = [json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in slices]
    path.write_text("".join(lines), encoding="utf-8")


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
