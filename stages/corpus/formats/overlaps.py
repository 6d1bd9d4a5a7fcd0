"""Chooses which of several spans stay where they overlap: a cell has one tag."""

from bisect import bisect, insort
from collections.abc import Sequence
from itertools import pairwise

from stages.params.align import Nested

Span = tuple[int, int, str]
"""Start and end in characters, type."""


def without_overlaps(spans: Sequence[Span], nested: Nested) -> tuple[list[Span], list[str]]:
    """The spans that stay, in the order of the text, and for each other one why it is left out.

    `outermost` goes from the longest span to the shortest, `innermost` from the shortest to the
    longest; among equally long ones it goes by their start, then by their order in `spans`. A span
    stays unless it overlaps one that stays already. It is left out as `repeated_span` (the same
    characters and type), `two_types` (the same characters), `nested` (one of the two contains the
    other) or `crossing`.

    Raises:
        ValueError: `refuse`, and two spans overlap.
    """
    if nested == "refuse":
        for one, two in pairwise(sorted(spans)):
            if two[0] < one[1]:
                raise ValueError(
                    f"the spans {list(one)} and {list(two)} overlap, but a cell has one tag; remove"
                    " one of them, or set align.nested: outermost or innermost to choose"
                )
        return sorted(spans), []
    sign = 1 if nested == "innermost" else -1
    kept: list[Span] = []
    left_out: list[str] = []
    for span in sorted(spans, key=lambda span: (sign * (span[1] - span[0]), span[0])):
        at = bisect(kept, span)
        # Those that stay do not overlap, so only its two neighbours can.
        beside = kept[max(at - 1, 0) : at + 1]
        other = next((o for o in beside if o[0] < span[1] and span[0] < o[1]), None)
        if other:
            left_out.append(_why(span, other))
        else:
            insort(kept, span)
    return kept, left_out


def _why(span: Span, other: Span) -> str:
    if span == other:
        return "repeated_span"
    if span[:2] == other[:2]:
        return "two_types"
    start, end = min(span[0], other[0]), max(span[1], other[1])
    return "nested" if (start, end) in (span[:2], other[:2]) else "crossing"
