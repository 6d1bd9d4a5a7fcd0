"""Entities in cells, and their tags in each scheme, made without the code under test."""

from itertools import pairwise

from hypothesis import strategies as st

Spans = list[tuple[int, int, str]]
TYPES = ["PER", "LOC", "work-of-art", "地名"]
SCHEMES = ["BIO", "IOB1", "BIOES", "BILOU", "BMES", "BMEO"]


@st.composite
def spans_of(draw: st.DrawFn, cells: int) -> Spans:
    """Entities that may touch, in order."""
    edges = sorted(draw(st.sets(st.integers(0, cells), max_size=6)))
    return [
        (start, end, draw(st.sampled_from(TYPES)))
        for start, end in pairwise(edges)
        if draw(st.booleans())
    ]


def tags_of(spans: Spans, cells: int, scheme: str) -> list[str]:
    tags = ["O"] * cells
    for start, end, type_ in spans:
        inner, last, only = {"BILOU": "ILU", "BIOES": "IES", "BMES": "MES", "BMEO": "MEB"}.get(
            scheme, "IIB"
        )
        first = "B"
        if scheme == "IOB1" and (not start or tags[start - 1][2:] != type_):
            first = only = "I"
        letters = first + inner * (end - start - 2) + last if end - start > 1 else only
        tags[start:end] = [f"{letter}-{type_}" for letter in letters]
    return tags


def spans_in(tags: tuple[str, ...] | list[str]) -> Spans:
    """Of IOB2."""
    starts = [at for at, tag in enumerate(tags) if tag[0] == "B"]
    return [
        (start, next((n for n in range(start + 1, len(tags)) if tags[n][0] != "I"), len(tags)), t)
        for start, t in ((at, tags[at][2:]) for at in starts)
    ]
