"""Sentences that two splits have in common."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus.corpus import among

TEXTS = st.lists(st.integers(0, 9) | st.integers(2**64 - 3, 2**64 - 1), max_size=9)


@given(TEXTS, TEXTS)
def test_among_is_what_numpy_finds(texts, others):
    ours, theirs = (np.array(each, np.uint64) for each in (texts, others))
    assert among(ours, np.sort(theirs)).tolist() == np.isin(ours, theirs).tolist()
