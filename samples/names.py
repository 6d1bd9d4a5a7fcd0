"""Fills the slots of a template with names and words composed of the pieces in words.py."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

import words

T = TypeVar("T")


def fill(rng: Random, slot: str, *, is_test: bool) -> list[tuple[str | None, str]]:
    """The parts that replace `slot` (see templates.py), each (entity type or None, text)."""
    match slot:
        case "P":
            return [("PER", _person(rng, is_test=is_test))]
        case "L":
            return [("LOC", _place(rng))]
        case "O":
            return [("ORG", _organisation(rng))]
        case "X":
            return fill(rng, pick(rng, "PLO"), is_test=is_test)
        case "PC":
            return [("LOC", _stem(rng) + "省"), ("LOC", _stem(rng) + pick(rng, "市县"))]
    return [(None, _plain(rng, slot))]


def pick(rng: Random, items: Sequence[T]) -> T:
    """One of `items`, chosen only by .random(): make_corpus.py says why."""
    return items[int(rng.random() * len(items))]


def _person(rng: Random, *, is_test: bool) -> str:
    kind = rng.random()
    if kind < 0.12:
        dot = "·" if kind < 0.10 else ""
        return _syllables(rng) + (dot + _syllables(rng) if dot else "")
    given = words.GIVEN + (words.RARE_GIVEN if is_test and rng.random() < 0.3 else "")
    surname = pick(rng, words.DOUBLE_SURNAMES if kind < 0.15 else words.SURNAMES)
    return surname + pick(rng, given) + (pick(rng, given) if rng.random() < 0.7 else "")


def _place(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.12:
        return pick(rng, words.KNOWN_PLACES)
    if kind < 0.24:
        return _syllables(rng) + pick(rng, words.FOREIGN_SUFFIXES)
    if kind < 0.40:
        return _stem(rng)
    suffixes = (words.AREA_SUFFIXES, words.NATURE_SUFFIXES, words.SITE_SUFFIXES)
    return _stem(rng) + pick(rng, suffixes[0 if kind < 0.68 else 1 if kind < 0.86 else 2])


def _organisation(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.05:
        return pick(rng, words.KNOWN_ORGS)
    if kind < 0.10:
        middle = pick(rng, words.INDUSTRIES)
        return pick(rng, words.WORLD_FIRST) + middle + pick(rng, words.WORLD_LAST)
    if kind < 0.15:
        return pick(rng, words.LATIN_BRANDS) + pick(rng, ["", "公司", "集团"])
    if kind < 0.18:  # a bare brand: only context distinguishes it from a place
        return _brand(rng)
    where = _stem(rng) + pick(rng, ["", "", "市", "县", "省"])
    if rng.random() < 0.25:
        where = pick(rng, [pick(rng, words.KNOWN_PLACES), _syllables(rng)])
    if kind < 0.50:
        owner = _brand(rng) if rng.random() < 0.5 else where
        return owner + pick(rng, words.INDUSTRIES) + pick(rng, words.COMPANY_SUFFIXES)
    if kind < 0.68:
        return where + pick(rng, words.PUBLIC_SUFFIXES)
    if kind < 0.80:
        return where + pick(rng, words.OFFICE_SUFFIXES)
    if kind < 0.90:
        return where + pick(rng, words.INDUSTRIES) + pick(rng, words.INSTITUTE_SUFFIXES)
    return where + "第" + pick(rng, "一二三四五六七八九十") + pick(rng, words.SCHOOL_SUFFIXES)


def _stem(rng: Random) -> str:
    return pick(rng, words.PLACE_FIRST) + pick(rng, words.PLACE_SECOND)


def _brand(rng: Random) -> str:
    return "".join(pick(rng, words.BRAND) for _ in range(2 if rng.random() < 0.7 else 3))


def _syllables(rng: Random) -> str:
    return "".join(pick(rng, words.SYLLABLES) for _ in range(2 + int(rng.random() * 3)))


def _plain(rng: Random, slot: str) -> str:
    match slot:
        case "N":
            return str(1 + int(10 ** (rng.random() * 3.5)))
        case "S":
            return str(1 + int(rng.random() * 99))
        case "D":
            day = f"{1 + int(rng.random() * 12)}月{1 + int(rng.random() * 28)}日"
            return pick(rng, [day, day, "昨天", f"{1990 + int(rng.random() * 35)}年", "二〇〇三年"])
        case "J":
            return pick(rng, words.JOBS)
        case "C":
            return pick(rng, words.COMMON)
        case "K":
            return pick(rng, words.CODES)
    raise ValueError(f"templates.py has a slot {{{slot}}} that names.py cannot fill")
