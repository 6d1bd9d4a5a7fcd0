from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.model.batches import batches_by_length, padded

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=300)
BUDGET = st.integers(1, 1000)


def check(batches, lengths, budget):
    """Every index once; no batch over the budget, but for one item that is."""
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        tokens = max(lengths[i] for i in batch) * len(batch)
        assert tokens <= budget or len(batch) == 1


@given(LENGTHS, BUDGET)
@settings(deadline=None)
def test_by_length(lengths, budget):
    batches = batches_by_length(lengths, budget)
    check(batches, lengths, budget)
    in_order = [index for batch in batches for index in batch]
    assert [lengths[i] for i in in_order] == sorted(lengths, reverse=True)
    # Full: the next item would not have fitted.
    for batch, after in pairwise(batches):
        assert lengths[batch[0]] * (len(batch) + 1) > budget
        assert lengths[after[0]] <= lengths[batch[-1]]


def test_by_hand():
    assert batches_by_length([3, 9, 5, 1, 4], 10) == [[1], [2, 4], [0, 3]]
    assert batches_by_length([20, 1], 10) == [[0], [1]]
    assert batches_by_length([5, 5, 5], 10) == [[0, 1], [2]]
    assert batches_by_length([], 10) == []


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_padded(dtype):
    rows = [np.array(row, dtype=dtype) for row in ([1, 2, 3], [], [4])]
    result = padded(rows, -100)
    assert result.dtype == np.int64
    assert result.tolist() == [[1, 2, 3], [-100, -100, -100], [4, -100, -100]]
