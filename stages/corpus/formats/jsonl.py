"""Reads JSON lines, or a JSON array: texts and the spans of their entities, as doccano exports."""

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.contract.errors import StageError, listed
from stages.corpus.corpus import Repairs
from stages.corpus.formats.lines import CONVERT
from stages.corpus.formats.meta import meta_of
from stages.corpus.formats.overlaps import Span, without_overlaps
from stages.corpus.formats.records import records
from stages.params.align import Align, type_problem
from stages.text.cells import SURROGATE, cells_of, offsets
from stages.text.sentence import Sentence, as_batches


def read_jsonl(
    path: Path, params: Align, repair: bool, repairs: Repairs
) -> Iterator[pa.RecordBatch]:
    """Reads the text and the spans that `align.jsonl` names; the other keys are `Sentence.meta`.

    A file is one object per line, or one array of objects over any number of lines, which is then
    in memory as a whole.
    A text without a cell is skipped and counted (`empty`), besides the repairs of `lines`. With
    `repair`, and where cells are words, so is an entity that begins or ends with white space
    (`space`), which is left out, or inside a word, which is cut there (`cut_word`). Of spans that
    overlap, those stay that `align.nested` chooses; the others are counted (see `overlaps`).

    Raises:
        StageError: with file and line, or record of the array: not UTF-8, not JSON, no such key;
            a span that is not [start, end, type], is outside its text, has a type that is not in
            `align.types`, overlaps another where `align.nested` refuses that, or would need
            `repair`.
    """
    return as_batches(_sentences(path, params, repair, repairs))


def _sentences(path: Path, params: Align, repair: bool, repairs: Repairs) -> Iterator[Sentence]:
    for where, line in records(path, repairs):
        try:
            sentence, kinds = _sentence(line, params, repair)
        except ValueError as error:
            raise StageError(f"{where}: {error}") from None
        if sentence.cells:
            yield sentence
        else:
            kinds = ["empty"]
        for kind in kinds:
            repairs.add(kind, where)


def _sentence(line: str, params: Align, repair: bool) -> tuple[Sentence, list[str]]:
    """The sentence, and the kinds of the repairs in it."""
    keys = params.jsonl
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error}); write one object per line") from None
    if "\\u" in line and SURROGATE.search(json.dumps(record, ensure_ascii=False)):
        raise ValueError("half of a surrogate pair, which is not a character; correct it")
    if not isinstance(record, dict) or not isinstance(record.get(keys.text), str):
        raise ValueError(
            f"no text under the key {keys.text!r}; correct it or align.jsonl.text; {CONVERT}"
        )
    text = record.pop(keys.text)
    spans = _checked(record.pop(keys.spans, None), text, params)
    if params.cells == "characters":
        spans, left_out = without_overlaps(spans, params.nested)
        return Sentence(text, _tags(text, spans), meta_of(record)), left_out
    # White space is left out first: two spans that share only a blank do not overlap in words.
    trimmed, left_out = without_overlaps([_trimmed(text, s) for s in spans], params.nested)
    spaced = [s for s in spans if s not in trimmed and _trimmed(text, s) in trimmed]
    starts, stops = map(set, offsets(cells_of(text, "words")))
    inside = [span for span in trimmed if span[0] not in starts or span[1] not in stops]
    if (spaced or inside) and not repair:
        start, end, _ = [*spaced, *inside][0]
        raise ValueError(
            f"the entity {text[start:end]!r} at {start} begins or ends"
            f" {'with white space' if spaced else 'inside a word'}; correct it, or set"
            " align.repair_test_tags: true"
        )
    edges = {edge for start, end, _ in inside for edge in (start, end)}
    cuts = sorted(stops | (edges - starts))
    cells = tuple(text[start:end] for start, end in pairwise([0, *cuts]))
    kinds = [*left_out, *["space"] * len(spaced), *["cut_word"] * len(inside)]
    return Sentence(cells, _tags(cells, trimmed), meta_of(record)), kinds


def _checked(given: Any, text: str, params: Align) -> list[Span]:
    """The spans, checked, in the order of the file."""
    if not isinstance(given, list):
        raise ValueError(
            f"no list under the key {params.jsonl.spans!r}; correct it or align.jsonl.spans;"
            f" {CONVERT}"
        )
    spans: list[Span] = []
    for span in given:
        match span:
            case [int(start), int(end), str(type_)] if 0 <= start < end <= len(text):
                spans.append((start, end, type_))
            case _:
                raise ValueError(
                    f"span {json.dumps(span, ensure_ascii=False)[:80]} is not [start, end, type]"
                    f" with 0 <= start < end <= {len(text)}, the length of the text; correct it;"
                    f" {CONVERT}"
                )
        if params.types is not None and type_ not in params.types:
            raise ValueError(
                f"unknown type {type_!r}; align.types in params.yaml allows {listed(params.types)}"
            )
        if problem := type_problem(type_):
            raise ValueError(problem)
    return spans


def _trimmed(text: str, span: Span) -> Span:
    start, end, type_ = span
    inner = text[start:end].strip()
    if not inner:
        raise ValueError(f"the span {list(span)} is white space alone; remove it")
    start += text[start:end].index(inner)
    return start, start + len(inner), type_


def _tags(cells: Sequence[str], spans: Sequence[Span]) -> tuple[str, ...]:
    """The cells' tags in IOB2; spans begin and end where cells do."""
    starts, stops = offsets(cells)
    tags = ["O"] * len(cells)
    for start, end, type_ in spans:
        first, last = bisect_left(starts, start), bisect_left(stops, end)
        tags[first : last + 1] = [f"B-{type_}", *[f"I-{type_}"] * (last - first)]
    return tuple(tags)
