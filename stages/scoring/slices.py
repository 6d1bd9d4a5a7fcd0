"""Named slices of a test split, each with scores of its own."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.contract.errors import StageError
from stages.params.evaluate import Slice
from stages.scoring.groups import scored
from stages.scoring.mistakes import Judged
from stages.text.windows_table import Aligned

Figures = dict[str, float | int]


@dataclass(frozen=True)
class Members:
    """A slice as it was found in a split."""

    slice: str
    """Its name."""
    type: str | None
    """The entity type that counts; None: all."""
    sentences: list[int]
    """Numbers of its sentences, ascending."""


def members(slices: Mapping[str, Slice], split: Aligned, types: Collection[str]) -> list[Members]:
    """Which sentences of `split` each of the named slices has.

    Args:
        slices: by name.
        split: its texts, and what else the corpus says of each sentence.
        types: those of the labels.

    Raises:
        StageError: a slice asks for a type or a metadata column that is not there.
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
            for number, (text, said) in enumerate(zip(texts, meta, strict=True))
            if (wanted.min_characters or 0) <= len(text) <= most
            and expression.search(text)
            and (wanted.meta or {}).items() <= said.items()
        ]
        found.append(Members(name, wanted.type, numbers))
    return found


def sliced(found: Iterable[Members], judged: Sequence[Judged]) -> dict[str, Figures]:
    """`figures` of each slice of these sentences."""
    return {
        each.slice: figures([judged[number] for number in each.sentences], each.type)
        for each in found
    }


def figures(judged: Collection[Judged], type_: str | None = None) -> Figures:
    """Strict precision, recall, F1, support and sentences; None: of all types."""
    kept = [
        [sum(type_ in (None, span.type) for span in group) for group in (s.gold, s.found, s.right)]
        for s in judged
    ]
    gold, found, right = map(sum, zip(*kept, strict=True)) if kept else (0, 0, 0)
    row = scored("", gold, found, right)
    del row["name"]
    return row | {"sentences": len(judged)}


def write_members(path: Path, found: Iterable[Members]) -> None:
    """Writes a line of JSON a slice, for whoever scores another model on it."""
    lines = [json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in found]
    path.write_text("".join(lines), encoding="utf-8")


def read_members(lines: Iterable[str]) -> list[Members]:
    """What `write_members` wrote."""
    return [Members(**json.loads(line)) for line in lines]


def _check(name: str, wanted: Slice, types: Collection[str], columns: Collection[str]) -> None:
    about = f"evaluate.slices.{name}"
    if wanted.type is not None and wanted.type not in types:
        raise StageError(
            f"{about}.type is {wanted.type}, but the labels know {', '.join(sorted(types))} only"
        )
    lacking = sorted(set(wanted.meta or {}) - set(columns))
    if lacking:
        raise StageError(
            f"{about}.meta asks for {', '.join(lacking)}, but the test split has"
            f" {', '.join(sorted(columns)) or 'no metadata'}; correct the name, or align a corpus"
            " that has it"
        )
