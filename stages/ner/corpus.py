"""Labelled text as it comes: one character and its tag a line."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from stages.errors import StageError
from stages.ner.labels import follows, iob2_tags


@dataclass(frozen=True)
class Sentence:
    """A sentence as the corpus has it: its cells (see `stages.ner.cells`) and a tag for each."""

    cells: str | tuple[str, ...]
    """A string is of characters."""
    tags: tuple[str, ...]
    """IOB2."""
    meta: str | None = None
    """What else the corpus says of it: a JSON object of texts, numbers and truth values."""


@dataclass(frozen=True)
class Corpus:
    """Sentences, and what had to be repaired to read them."""

    sentences: list[Sentence]
    repaired: Counter[str]


def read_bio(path: Path, types: Sequence[str], repair_tags: bool) -> Corpus:
    """Reads `character TAB tag` lines, a blank line between sentences, tags in IOB2.

    Repaired and counted: a byte order mark (`bom`), CRLF line ends (`crlf`), a line of spaces or
    tabs that is taken for a blank one (`blank`) and, with `repair_tags`, an I- that follows neither
    its B- nor its I- and so becomes B- (`stray_i`).

    Raises:
        StageError: with file and line: not UTF-8, a missing or third column, a cell of no or of
            several characters, a tag that is not of `types`, a stray I- without `repair_tags`;
            with the file: it is not there, it has no sentence.
    """
    known = set(iob2_tags(types))
    repaired: Counter[str] = Counter()
    sentences: list[Sentence] = []
    cells: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(chain(_lines(path, repaired), [""]), start=1):
        # Not strip(): U+3000 or U+2028 alone is a character that lacks its tag.
        if not line.strip(" \t"):
            repaired["blank"] += bool(line)
            if cells:
                sentences.append(Sentence("".join(cells), tuple(tags)))
                cells, tags = [], []
            continue
        columns = line.split("\t")
        if len(columns) != 2:
            raise StageError(
                f"{path}:{number}: {len(columns)} columns in {line[:40]!r};"
                " write one character, a tab, its tag"
            )
        cell, tag = columns
        if len(cell) != 1:
            raise StageError(
                f"{path}:{number}: {len(cell)} characters in the cell {cell[:40]!r};"
                " write one character a line"
            )
        if tag not in known:
            raise StageError(
                f"{path}:{number}: unknown tag {tag[:40]!r};"
                f" align.types in params.yaml allows {', '.join(sorted(known))}"
            )
        if not follows(tag, tags[-1] if tags else "O"):
            if not repair_tags:
                raise StageError(
                    f"{path}:{number}: {tag} follows neither B-{tag[2:]} nor I-{tag[2:]};"
                    " correct it, or set align.repair_test_tags: true to make it B-"
                )
            repaired["stray_i"] += 1
            tag = "B" + tag[1:]
        cells.append(cell)
        tags.append(sys.intern(tag))  # one object a tag, not one a line
    if not sentences:
        raise StageError(f"{path}: no sentence in it; is it the right file?")
    return Corpus(sentences, +repaired)


def _lines(path: Path, repaired: Counter[str]) -> Iterator[str]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise StageError(f"{path} is not here: run `dvc repro download` first") from None
    with file:
        # By bytes, which end a line at \n alone: U+2028 and its kind may be cells.
        for number, data in enumerate(file, start=1):
            try:
                line = data.decode("utf-8").removesuffix("\n")
            except UnicodeDecodeError as error:
                raise StageError(
                    f"{path}:{number}: not UTF-8 (byte {data[error.start]:#04x});"
                    " convert the file to UTF-8"
                ) from None
            if number == 1 and line.startswith("\ufeff"):
                repaired["bom"] += 1
                line = line[1:]
            if line.endswith("\r"):
                repaired["crlf"] += 1
                line = line[:-1]
            yield line
