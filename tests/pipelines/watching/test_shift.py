"""Nights of text like the test split, and of other text, by the tiny model's own scores."""

from dataclasses import replace

import pytest

from pipelines.serving import request_log
from pipelines.watching import f1_estimate, shift, texts
from pipelines.watching.night import news
from pipelines.watching.texts import Reference, Text
from stages.serving.tagger import Tagger
from tests.invented import Tagged, text_of
from tests.pipelines.watching.conftest import SETTINGS, in_domain, scored

NIGHTS = 20
SIMPLIFIED = "赵钱孙吴静娜岭县乡湾铁锡铝厂团说开会记从"
TRADITIONAL = "趙錢孫吳靜娜嶺縣鄉灣鐵錫鋁廠團說開會記從"


def look(
    known: Reference, served: list[Text], told: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """What has shifted, what of it is news, and what is not told again."""
    found = shift.compare(known, texts.as_logged(known.texts, served), served, SETTINGS)
    f1 = f1_estimate.estimate(known.texts, served, SETTINGS)
    return news(found, f1, told, SETTINGS)


def test_twenty_nights_of_text_like_the_test_split_raise_nothing(known, tagger) -> None:
    for night in range(NIGHTS):
        assert look(known, scored(tagger, in_domain(night + 1)), []) == ([], [], [])


def test_a_log_without_digits_is_no_shift(known: Reference, tagger: Tagger) -> None:
    served = scored(tagger, in_domain(1))
    redacted = [replace(text, text=request_log.redacted(text.text)) for text in served]
    assert redacted != served
    assert look(known, redacted, []) == ([], [], [])


def full_width(sentence: Tagged) -> Tagged:
    return [(chr(ord(c) + 0xFEE0) if c in "0123456789" else c, tag) for c, tag in sentence]


def traditional(sentence: Tagged) -> Tagged:
    table = str.maketrans(SIMPLIFIED, TRADITIONAL)
    return [(c.translate(table), tag) for c, tag in sentence]


SHIFTS = {
    "full_width_digits": lambda night: [
        full_width(s) for s in in_domain(night, 1200) if "12" in text_of(s)
    ],
    "traditional": lambda night: [traditional(s) for s in in_domain(night)],
    "another_genre": lambda night: [
        s for s in in_domain(night, 900) if not any(tag == "B-ORG" for _, tag in s)
    ],
}


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_shift_is_told_once_while_it_stays_and_again_after_it_was_gone(
    known: Reference, tagger: Tagger, kind: str
) -> None:
    nights = [SHIFTS[kind]] * 4 + [in_domain] * 2 + [SHIFTS[kind]] * 2
    told: list[str] = []
    events = []
    for number, night in enumerate(nights):
        _, new, told = look(known, scored(tagger, night(100 + number)), told)
        events.append(bool(new))
    assert events == [True, False, False, False, False, False, True, False]
