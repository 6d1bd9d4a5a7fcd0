"""Tagging schemes, and their conversion to IOB2."""

import sys
from collections.abc import Sequence
from functools import lru_cache

from stages.contract.errors import listed
from stages.params.align import type_problem

SCHEMES = {
    "BIO": "BI",
    "IOB1": "BI",  # B- only where an entity touches one of its type that ended just before
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
    "BMEO": "BME",  # without S-: an entity of one token has B-
}
"""Name → the tags' letters besides O, for an entity's first, inner, last and only token."""
# Letters that an entity may not end with.
OPEN = {"BIOES": "BI", "BILOU": "BI", "BMES": "BI", "BMEO": "I"}
CANONICAL = str.maketrans("MLU", "IES")


def to_iob2(tags: Sequence[str], scheme: str) -> tuple[list[str], list[tuple[int, str]]]:
    """Converts a sentence's tags to IOB2, keeps every entity, and finds where they break `scheme`.

    Args:
        tags: without any `tag_problem`.
        scheme: a key of `SCHEMES`.

    Returns:
        The tags; and the index and kind of each break: `stray_i`, the tag continues an entity that
        does not exist, so it begins one; `unclosed`, the entity ends without the tag of an end.
    """
    open_, may_stray = OPEN.get(scheme, ""), scheme == "IOB1"
    result: list[str] = []
    breaks: list[tuple[int, str]] = []
    before, type_before = "O", ""
    for index, tag in enumerate([*tags, "O"]):
        if tag == before == "O":  # as most are
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


def break_message(tag: str, kind: str, scheme: str) -> str:
    """What is wrong at `tag`, one break of `scheme`, and what to do."""
    type_, letters = tag[2:], SCHEMES[scheme]
    if kind == "stray_i":
        problem, remedy = f"follows neither B-{type_} nor {letters[1]}-{type_}", "make it B-"
    else:
        problem, remedy = f"is not followed by {letters[2]}-{type_}", "end the entity there"
    return f"{tag} {problem}; correct it, or set align.repair_test_tags: true to {remedy}"


def tag_problem(tag: str, scheme: str, types: Sequence[str] | None) -> str:
    """What is wrong with `tag`, or "" if nothing is; None for `types` allows any type."""
    letters = SCHEMES[scheme]
    letter, hyphen, type_ = tag.partition("-")
    known = letter in [*letters] and hyphen
    if tag == "O" or (known and types is not None and type_ in types):
        return ""
    if known and types is None:
        return type_problem(type_)
    by = "in params.yaml allows" if types is None else "and align.types in params.yaml allow"
    allowed = [f"{one}-{type_}" for type_ in sorted(types or ["TYPE"]) for one in letters]
    return f"unknown tag {tag[:40]!r}; align.scheme {scheme} {by} {listed(['O', *allowed])}"


@lru_cache(1000)  # tags are few; and every token shares the same strings
def _parts(tag: str) -> tuple[str, str, str, str]:
    """The letter in BIOES, the type, and the IOB2 tags that begin and continue such an entity."""
    if tag == "O":
        return "O", "", "O", "O"
    letter, type_ = tag[0].translate(CANONICAL), tag[2:]
    return letter, type_, sys.intern(f"B-{type_}"), sys.intern(f"I-{type_}")
