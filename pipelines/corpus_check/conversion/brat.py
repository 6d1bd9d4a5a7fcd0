"""Reads brat's standoff format: X.txt with its annotations in X.ann."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from pipelines.corpus_check.conversion.marks import Mark, located
from pipelines.corpus_check.conversion.source import Reading, Record
from pipelines.errors import PipelineError
from stages.corpus.formats.overlaps import Span

# https://brat.nlplab.org/standoff.html; other than T: what is not an entity.
ENTITY = re.compile(r"T\S*\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
OTHERS = {
    "R": "relations",
    "*": "relations",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "#": "notes",
}


def read_brat(path: Path, reading: Reading) -> Iterator[Record]:
    """The lines of each document of the folder `path`, or of one file's document.

    A line is a record, with `document`; lines that an entity spans stay together.

    Raises:
        PipelineError: with the file, and the line of an annotation: a text without annotations or
            annotations without a text; not UTF-8; an annotation that is not brat's; a
            discontinuous entity, if that is refused; what `located` refuses.
    """
    for text_file in _documents(path):
        ann = text_file.with_suffix(".ann")
        text = _read(text_file)
        marks, lines = _marks(ann, reading)
        try:
            text, marks = located(text, marks, reading.offsets)
        except ValueError as error:
            raise PipelineError(f"{ann}: {error}") from None
        spans = []
        for mark, line in zip(marks, lines, strict=True):
            if span := _joined(text, mark, reading, f"{ann}:{line}"):
                spans.append(span)
            else:
                reading.left_out["discontinuous entities"] += 1
        folder = path if path.is_dir() else path.parent
        document = text_file.relative_to(folder).with_suffix("").as_posix()
        spans.sort()
        starts = [start for start, _, _ in spans]
        for start, stop in _lines(text, spans):
            of_line = spans[bisect_left(starts, start) : bisect_left(starts, stop)]
            inside = [(first - start, last - start, type_) for first, last, type_ in of_line]
            yield Record(str(ann), text[start:stop], inside, {"document": document})


def _documents(path: Path) -> list[Path]:
    if not path.is_dir():
        texts, anns = [path.with_suffix(".txt")], [path.with_suffix(".ann")]
    else:
        texts, anns = (sorted(path.rglob(f"*{ending}")) for ending in (".txt", ".ann"))
    for there, ending in ((texts, ".ann"), (anns, ".txt")):
        for file in there:
            if not file.with_suffix(ending).is_file():
                raise PipelineError(
                    f"{file} has no {file.with_suffix(ending).name} beside it; for a text without"
                    " an entity that is an empty .ann"
                )
    if not texts:
        raise PipelineError(f"{path} has no .txt with an .ann beside it")
    return texts


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")  # line ends as they are: they count
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not UTF-8 ({error}); convert the file to UTF-8") from None


def _marks(ann: Path, reading: Reading) -> tuple[list[Mark], list[int]]:
    """The entities, and the line of each."""
    marks, lines = [], []
    for number, line in enumerate(_read(ann).removeprefix("\ufeff").split("\n"), 1):
        line = line.rstrip("\r")
        if found := ENTITY.fullmatch(line):
            type_, places, quote = found.groups()
            pairs = (pair.split(" ") for pair in places.split(";"))
            marks.append(Mark(tuple((int(start), int(end)) for start, end in pairs), type_, quote))
            lines.append(number)
        elif line[:1] in OTHERS:
            reading.left_out[OTHERS[line[0]]] += 1
        elif line.strip():
            raise PipelineError(f"{ann}:{number}: {line[:60]!r} is no annotation of brat's")
    return marks, lines


def _joined(text: str, mark: Mark, reading: Reading, where: str) -> Span | None:
    """The entity as one span; brat writes one that goes over a line end as two parts."""
    parts = sorted(mark.parts)
    start, stop = parts[0][0], parts[-1][1]
    gaps = [text[one[1] : two[0]] for one, two in pairwise(parts)]
    if any(gap.strip() for gap in gaps) and reading.discontinuous != "cover":
        if reading.discontinuous == "drop":
            return None
        raise PipelineError(
            f"{where}: the {mark.type} {' ... '.join(text[s:e] for s, e in parts)!r} is"
            " discontinuous, but an entity here is one span; name --discontinuous cover (from its"
            f" first to its last character: {text[start:stop]!r}) or drop"
        )
    return start, stop, mark.type


def _lines(text: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Start and end of each line with a text or an entity; a line end in an entity ends none."""
    inside = bytearray(len(text))
    for start, stop, _ in spans:
        inside[start:stop] = b"\1" * (stop - start)
    start = 0
    for end in [*(at.start() for at in re.finditer("\n", text)), len(text)]:
        if end == len(text) or not inside[end]:
            stop = end - (text[start:end].endswith("\r") and not inside[end - 1])
            if text[start:stop].strip() or any(inside[start:stop]):
                yield start, stop
            start = end + 1
