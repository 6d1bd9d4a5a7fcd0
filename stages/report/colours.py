"""Gives each entity type the same colour and line on every page."""

from collections.abc import Iterable

COLOURS, LINES = 6, 4  # in shell.css; no type shares both with one of its eleven neighbours


def colours(types: Iterable[str], others: Iterable[str] = ()) -> dict[str, str]:
    """Type → CSS classes, by the type's place in the alphabet of the model's types.

    Args:
        types: All entity types of the model, found in the test split or not.
        others: Types that another model on the page has; they change no colour of `types`.
    """
    first = sorted(set(types))
    names = [*first, *sorted(set(others) - set(first))]
    return {name: f"c{place % COLOURS} l{place % LINES}" for place, name in enumerate(names)}
