from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text.windows import Window, windows


@st.composite
def asked(draw):
    """Tokens, size and overlap, as `stages.params.align.Align` allows them."""
    size = draw(st.integers(6, 200))
    overlap = draw(st.integers(0, size // 2))
    return draw(st.integers(1, 4 * size) | st.integers(1, 3000)), size, overlap


@given(asked())
@settings(deadline=None)
def test_properties(asked):
    tokens, size, overlap = asked
    found = windows(tokens, size, overlap)

    # Each is full, but for one that holds a short sentence.
    assert all(window.stop - window.start == min(size, tokens) for window in found)
    # They cover the sentence in order, each adds something, and neighbours share what was asked.
    assert found[0].start == 0
    assert found[-1].stop == tokens
    for before, after in pairwise(found):
        assert before.start < after.start
        assert before.stop - after.start >= overlap
    # As few as can be.
    assert len(found) == 1 + max(0, -(-(tokens - size) // (size - overlap)))

    # What they own is a partition of the sentence, and lies within each.
    owned = [token for window in found for token in range(window.own_start, window.own_stop)]
    assert owned == list(range(tokens))
    for window in found:
        assert window.start <= window.own_start < window.own_stop <= window.stop
    # An owned token has half the overlap on either side, or the sentence ends there.
    for window in found:
        left, right = window.own_start - window.start, window.stop - window.own_stop
        assert left >= overlap // 2 or window.start == 0
        assert right >= overlap // 2 or window.stop == tokens


@given(asked())
@settings(deadline=None)
def test_a_token_is_scored_where_it_has_most_context(asked):
    tokens, size, overlap = asked
    found = windows(tokens, size, overlap)

    def context(window, token):
        """The smaller of the contexts that the window cuts."""
        left = token - window.start if window.start else tokens
        right = window.stop - 1 - token if window.stop < tokens else tokens
        return min(left, right)

    for window in found:
        for token in range(window.own_start, window.own_stop):
            best = max(context(w, token) for w in found if w.start <= token < w.stop)
            # One less where the shared stretch is odd: the middle has to go somewhere.
            assert context(window, token) >= best - 1


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (1, [(0, 1, 0, 1)]),
        (9, [(0, 9, 0, 9)]),
        (10, [(0, 10, 0, 10)]),
        (11, [(0, 10, 0, 5), (1, 11, 5, 11)]),
        (16, [(0, 10, 0, 8), (6, 16, 8, 16)]),
        (17, [(0, 10, 0, 8), (6, 16, 8, 11), (7, 17, 11, 17)]),
        (22, [(0, 10, 0, 8), (6, 16, 8, 14), (12, 22, 14, 22)]),
    ],
)
def test_by_hand(tokens, expected):
    assert windows(tokens, size=10, overlap=4) == [Window(*window) for window in expected]
