"""Sentences that two splits have in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus import corpus
from stages.corpus.corpus import among

TEXTS = st.lists(st.integers(0, 9) | st.integers(2**64 - 3, 2**64 - 1), max_size=9)


@given(TEXTS, TEXTS)
def test_among_is_what_numpy_finds(texts, others):
    ours, theirs = (np.array(each, np.uint64) for each in (texts, others))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(corpus, "AT_ONCE", 4)
        assert among(ours, np.sort(theirs)).tolist() == np.isin(ours, theirs).tolist()
