"""F1 without labels, against the labels."""

import math

from pipelines.watching import f1_estimate
from pipelines.watching.texts import Text
from stages.model.decode import Span
from tests.pipelines.watching.conftest import SETTINGS


def text(found: list[float], right: int, missed: int) -> Text:
    """A text with entities of these scores, of which the first are right."""
    spans = [Span(at, at + 1, "LOC") for at in range(len(found) + missed)]
    gold = frozenset([*spans[:right], *spans[len(found) :]])
    return Text("x" * len(spans), dict(zip(spans, found, strict=False)), gold)


def test_it_is_what_the_two_ratios_of_the_test_split_say() -> None:
    # Right 8 for a sum of scores of 10 x 0.8; missed 5 for 2 wrong: (5 + 1) / (2 + 1).
    test = [text([0.8] * 5, 4, 2), text([0.8] * 5, 4, 3)]
    served = [text([0.6] * 10, 0, 0)]
    found = f1_estimate.estimate(test, served, SETTINGS)
    # Of 10 are 6 right and 4 wrong, so 8 are missed.
    assert math.isclose(found.precision, 6 / 10)
    assert math.isclose(found.recall, 6 / 14)
    assert math.isclose(found.f1, 12 / 24)
    assert math.isclose(found.test, 16 / 23)


def test_one_list_of_names_does_not_decide() -> None:
    usual = [text([0.9] * 10, 9, 1)] * 50
    a_list = text([0.9] * 400, 40, 400)
    served = [text([0.9] * 10, 0, 0)] * 50
    plain, with_it = (
        f1_estimate.estimate(t, served, SETTINGS).f1 for t in (usual, [*usual, a_list])
    )
    assert abs(plain - with_it) < 0.03


def test_where_nothing_is_found_f1_is_0() -> None:
    found = f1_estimate.estimate([text([0.9], 1, 0)] * 20, [text([], 0, 0)] * 20, SETTINGS)
    assert (found.f1, found.low, found.high) == (0, 0, 0)
