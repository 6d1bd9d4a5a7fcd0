"""Converts exports of annotation tools to the JSONL that `align` reads."""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Literal

from pipelines.corpus_check.conversion import label_studio
from pipelines.corpus_check.conversion.brat import read_brat
from pipelines.corpus_check.conversion.cluener import read_cluener
from pipelines.corpus_check.conversion.doccano import SPANS, read_doccano
from pipelines.corpus_check.conversion.label_studio import read_label_studio
from pipelines.corpus_check.conversion.source import Reading, Record, objects
from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.corpus.formats.overlaps import Span, without_overlaps
from stages.params.align import type_problem
from stages.text.cells import SURROGATE

Tool = Literal["brat", "cluener", "doccano", "label-studio"]
READERS: dict[Tool, Callable[[Path, Reading], Iterator[Record]]] = {
    "brat": read_brat,
    "cluener": read_cluener,
    "doccano": read_doccano,
    "label-studio": read_label_studio,
}


@dataclass
class Report:
    """What was converted.

    Attributes:
        out: The file written.
        tools: Export → the tool whose it is.
        texts: Number of texts.
        entities: Type → number of entities.
        left_out: What → how many.
        overlapping: How many entities `align.nested` would leave out.
    """

    out: str
    tools: dict[str, Tool]
    texts: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    overlapping: int = 0


def convert(
    exports: Sequence[Path],
    out: Path,
    tool: Tool | None,
    reading: Reading,
    renamed: Mapping[str, str],
) -> Report:
    """Writes the texts of all `exports` to `out`, one JSON object a line; whole or not at all.

    Args:
        exports: Files, or folders of brat.
        out: `{"text": …, "label": [[start, end, type], …]}` and metadata, ends exclusive, in code
            points. A span that is there twice is written once.
        tool: Whose exports they are; None: guessed for each.
        reading: How they are read.
        renamed: Old name of an entity type → the new one; "": its entities are left out.

    Raises:
        PipelineError: the reader or `align` refuses something, whose place the message has; a text
            has half of a surrogate pair; the exports have no text; `out` is one of `exports`.
    """
    for export in exports:
        if not export.exists():
            raise PipelineError(f"{export} is not there")
        if export.resolve() == out.resolve():
            raise PipelineError(f"{out} is the export itself: name another file by --output")
    report = Report(str(out), {str(path): tool or guessed(path) for path in exports})
    read = (READERS[report.tools[str(path)]](path, reading) for path in exports)
    try:
        with whole(out) as [new], new.open("w", encoding="utf-8", newline="\n") as file:
            _write(chain.from_iterable(read), file, report, renamed)
            report.left_out += reading.left_out  # without zeros
    except StageError as error:
        raise PipelineError(str(error)) from None
    return report


def guessed(path: Path) -> Tool:
    """Whose export a file or folder is.

    Raises:
        PipelineError: it cannot be known.
    """
    if path.is_dir() or path.suffix in (".ann", ".txt"):
        return "brat"
    seen = False
    for _, record in objects(path):
        if isinstance(record.get("data"), dict) or label_studio.is_min(record):
            return "label-studio"
        if isinstance(record.get("label"), dict):
            return "cluener"
        lists = [record[key] for key in SPANS if isinstance(record.get(key), list)]
        seen = seen or bool(lists)
        if any(lists):
            return "doccano"
    if seen:
        return "doccano"
    raise PipelineError(f"{path} is no export that is known: name its tool by --from")


def _write(
    read: Iterator[Record], file: IO[str], report: Report, renamed: Mapping[str, str]
) -> None:
    given: dict[str, str] = {}  # type → where it is first
    for record in read:
        if SURROGATE.search(record.text):
            raise PipelineError(f"{record.where}: half of a surrogate pair; correct the text")
        for _, _, type_ in record.spans:
            given.setdefault(type_, record.where)
        spans = _named(record.spans, renamed, report.left_out)
        report.texts += 1
        report.entities.update(type_ for _, _, type_ in spans)
        report.overlapping += len(without_overlaps(spans, "outermost")[1])
        row = {"text": record.text, "label": spans, **record.meta}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    if not report.texts:
        raise PipelineError("No text was found: check that it is the right file, and --from")
    if unknown := [type_ for type_ in renamed if type_ not in given]:
        raise PipelineError(
            f"--rename {unknown[0]}: no entity has that type; there are {', '.join(sorted(given))}"
        )
    problems = {old: type_problem(renamed.get(old) or old) for old in given}
    if wrong := [old for old in problems if renamed.get(old) != "" and problems[old]]:
        options = " ".join(f"--rename {shlex.quote(f'{old}=NEW_NAME')}" for old in wrong)
        raise PipelineError(f"{given[wrong[0]]}: {problems[wrong[0]]}: {options}")


def _named(spans: Sequence[Span], renamed: Mapping[str, str], left_out: Counter[str]) -> list[Span]:
    """Each span once, with its new type."""
    kept: dict[Span, None] = {}
    for start, end, type_ in spans:
        span = (start, end, renamed.get(type_, type_))
        if not span[2]:
            left_out[f"entities of type {type_}"] += 1
        elif span in kept:
            left_out["repeated spans"] += 1
        else:
            kept[span] = None
    return sorted(kept)
