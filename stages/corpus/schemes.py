"""Schemes of tags: how the first, last and only token of an entity are told from the others."""

import re
import sys
from collections.abc import Sequence
from functools import lru_cache

from stages.params.align import TYPE

SCHEMES = {
    "BIO": "BI",
    "IOB1": "BI",  # B- only where an entity touches one of its type that ended just before
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
    "BMEO": "BME",  # without S-: an entity of one token has B-
}
"""Name → the letters of the tags but O: of an entity's first, inner, last and only token."""
# What an entity may not end with.
OPEN = {"BIOES": "BI", "BILOU": "BI", "BMES": "BI", "BMEO": "I"}
CANONICAL = str.maketrans("MLU", "IES")


def to_iob2(tags: Sequence[str], scheme: str) -> tuple[list[str], list[tuple[int, str]]]:
    """The tags of a sentence in IOB2, every entity kept, and where they break `scheme`.

    Args:
        tags: such as `tag_problem` has nothing against.
        scheme: a key of `SCHEMES`.

    Returns:
        The tags; and of each break its index and kind: `stray_i`, the tag goes on with an entity
        that is not there, and so begins one; `unclosed`, the entity ends there without a tag of
        an end.
    """
    open_, may_stray = OPEN.get(scheme, ""), scheme == "IOB1"
    result: list[str] = []
    breaks: list[tuple[int, str]] = []
    before, type_before = "O", ""
    for index, tag in enumerate([*tags, "O"]):
        if tag == before == "O":  # most are
            result.append(tag)
            continue
        letter, type_, begin, inside = _parts(tag)
        goes_on = letter in "IE" and before in "BI" and type_ == type_before
        if before in open_ and not goes_on:
            breaks.append((index - 1, "unclosed"))
        if letter in "IE" and not goes_on and not may_stray:
            breaks.append((index, "stray_i"))
        result.append(inside if goes_on else begin)
        before, type_before = letter, type_
    return result[:-1], breaks


def break_said(tag: str, kind: str, scheme: str) -> str:
    """One break of `scheme` at `tag` in words, and what to do."""
    type_, letters = tag[2:], SCHEMES[scheme]
    if kind == "stray_i":
        said, remedy = f"follows neither B-{type_} nor {letters[1]}-{type_}", "make it B-"
    else:
        said, remedy = f"is not followed by {letters[2]}-{type_}", "end the entity there"
    return f"{tag} {said}; correct it, or set align.repair_test_tags: true to {remedy}"


def tag_problem(tag: str, scheme: str, types: Sequence[str] | None) -> str:
    """What is wrong with `tag`, or ""; any type will do if `types` is None."""
    letters = SCHEMES[scheme]
    letter, hyphen, type_ = tag.partition("-")
    known = letter in [*letters] and hyphen and re.fullmatch(TYPE, type_)
    if tag == "O" or (known and (types is None or type_ in types)):
        return ""
    said = f"unknown tag {tag[:40]!r}; align.scheme {scheme} in params.yaml allows O and"
    if types is None:
        return f"{said} {', '.join(f'{letter}-TYPE' for letter in letters)}"
    allowed = ", ".join(f"{letter}-{type_}" for type_ in sorted(types) for letter in letters)
    return f"{said}, with align.types, {allowed}"


@lru_cache(1000)  # of so few tags; the same strings, not new ones a token
def _parts(tag: str) -> tuple[str, str, str, str]:
    """The letter as BIOES has it, the type, and what begins and goes on with it in IOB2."""
    if tag == "O":
        return "O", "", "O", "O"
    letter, type_ = tag[0].translate(CANONICAL), tag[2:]
    return letter, type_, sys.intern(f"B-{type_}"), sys.intern(f"I-{type_}")
