"""Entities as an annotation tool writes them, and where they are in code points of the text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

Unit = Literal["code-points", "utf-16"]
UNITS: tuple[Unit, ...] = ("code-points", "utf-16")
ASTRAL = re.compile("[\U00010000-\U0010ffff]")  # one code point, two units of UTF-16
# Tools write a line break in a quoted entity as a blank, as "\n", or not at all.
NO_INK = re.compile(r"\s|\\r|\\n")


@dataclass(frozen=True)
class Mark:
    """An entity.

    Attributes:
        parts: Start and exclusive end of each of its parts; several if it is discontinuous.
        type: Its type.
        quote: The entity's text as the export has it; None if it has none.
    """

    parts: tuple[tuple[int, int], ...]
    type: str
    quote: str | None = None


def located(text: str, marks: Sequence[Mark], unit: Unit | None) -> tuple[str, list[Mark]]:
    """The text and the marks in its code points.

    Tools that run in a browser count units of UTF-16, others code points; some count a text whose
    line ends or byte order mark they changed. So, without a `unit`, what counts is that each mark
    covers the text that its export quotes; the text is returned in the form in which they do.

    Raises:
        ValueError: a mark is outside the text; without a `unit`, no way of counting gives what is
            quoted, or nothing is quoted and the ways of counting differ.
    """
    quoted = any(mark.quote is not None for mark in marks)
    if unit or not quoted:
        end = max((end for mark in marks for _, end in mark.parts), default=0)
        if not unit and (found := ASTRAL.search(text[:end])):
            raise ValueError(
                f"offsets after {found[0]!r} at {found.start()} depend on whether it counts as one"
                " or two: name --offsets utf-16 (doccano without grapheme mode, older Label Studio)"
                " or code-points"
            )
        return text, _in_code_points(text, marks, unit or "code-points")
    for agrees in (_agrees, _agrees_in_ink):
        for form in _forms(text):
            for each in UNITS[: 2 if ASTRAL.search(text) else 1]:
                try:
                    found_marks = _in_code_points(form, marks, each)
                except ValueError:
                    continue
                if all(agrees(form, mark) for mark in found_marks):
                    return form, found_marks
    wrong = next(m for m in _in_code_points(text, marks, UNITS[0]) if not _agrees_in_ink(text, m))
    raise ValueError(
        f"{[*map(list, wrong.parts)]} is {_covered(text, wrong)!r} in the text, but the export"
        f" quotes {wrong.quote!r}; correct the offsets, or name --offsets code-points or utf-16 to"
        " take them as they are"
    )


def _forms(text: str) -> Iterator[str]:
    """The text, and as a tool may have counted it."""
    bare = text.removeprefix("\ufeff")
    yield from dict.fromkeys([text, bare, *(t.replace("\r\n", "\n") for t in (text, bare))])
    if "\r" not in text:  # the annotations were made before the line ends were changed
        yield text.replace("\n", "\r\n")


def _covered(text: str, mark: Mark) -> str:
    return " ".join(text[start:end] for start, end in mark.parts)


def _agrees(text: str, mark: Mark) -> bool:
    return mark.quote in (None, _covered(text, mark))


def _agrees_in_ink(text: str, mark: Mark) -> bool:
    if mark.quote is None:
        return True
    return NO_INK.sub("", mark.quote) == NO_INK.sub("", _covered(text, mark))


def _in_code_points(text: str, marks: Sequence[Mark], unit: Unit) -> list[Mark]:
    length = len(text)
    index_of: dict[int, int] | range = range(length + 1)
    if unit == "utf-16" and (astral := len(ASTRAL.findall(text))):
        length += astral
        units = accumulate((1 + (character > "\uffff") for character in text), initial=0)
        index_of = {at: index for index, at in enumerate(units)}
    result = []
    for mark in marks:
        parts = []
        for start, end in mark.parts:
            if not 0 <= start < end <= length:
                raise ValueError(
                    f"[{start}, {end}] is not a part of the text, whose length is {length}"
                )
            if start not in index_of or end not in index_of:
                raise ValueError(f"[{start}, {end}] halves a character in {unit}")
            parts.append((index_of[start], index_of[end]))
        result.append(replace(mark, parts=tuple(parts)))
    return result
