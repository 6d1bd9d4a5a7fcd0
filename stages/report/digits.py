"""Prints scores with no more digits than their intervals support.

Two rules. A score has three digits if its interval is known and at most ±0.01 wide, otherwise two.
A score without an interval of its own has the digits of the F1 beside it.
"""

Interval = tuple[float, float]
"""Low and high end. It is known only if they differ: resamples of hits alone are all the same."""

PRECISE = 0.02


def known(interval: Interval | None) -> bool:
    """Whether the interval says anything."""
    return interval is not None and interval[0] < interval[1]


def digits(interval: Interval | None) -> int:
    """The first rule; the caller applies the second by handing over the F1's interval."""
    narrow = interval is not None and 0 < round(interval[1] - interval[0], 6) <= PRECISE
    return 3 if narrow else 2


def score(value: float | None, interval: Interval | None) -> str:
    """A dash if there is no value."""
    return "–" if value is None else f"{value:.{digits(interval)}f}"


def ends(interval: Interval | None) -> str:
    """Both ends, or a dash."""
    if interval is None or not known(interval):
        return "–"
    return "–".join(score(end, interval) for end in interval)


def signed(value: float | None, interval: Interval | None) -> str:
    """A difference with its sign, which is that of the exact figure: an end may be -0.00."""
    return "–" if value is None else f"{value:+.{digits(interval)}f}"


def signed_ends(interval: Interval | None) -> str:
    """Both ends of a difference's interval, or a dash."""
    if interval is None:
        return "–"
    return " to ".join(signed(end, interval) for end in interval)
