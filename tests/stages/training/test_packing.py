import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.training.batches import pack
from stages.training.plan import pack_rows


@given(st.lists(st.integers(2, 16), min_size=1, max_size=200), st.integers(0, 5))
def test_every_window_once_and_no_row_too_long(lengths, seed):
    rows = pack_rows(lengths, 16, np.random.default_rng(seed)).rows
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert max(sum(lengths[i] for i in row) for row in rows) <= 16


def test_nearly_nothing_is_padding():
    lengths = np.random.default_rng(5).integers(3, 129, size=5000).tolist()
    rows = pack_rows(lengths, 128, np.random.default_rng(1)).rows
    assert sum(lengths) / (128 * len(rows)) > 0.98


def test_the_order_is_random_but_repeatable():
    lengths = np.random.default_rng(5).integers(3, 65, size=900).tolist()
    rows = pack_rows(lengths, 64, np.random.default_rng(1)).rows
    assert rows == pack_rows(lengths, 64, np.random.default_rng(1)).rows
    assert rows != pack_rows(lengths, 64, np.random.default_rng(2)).rows
    longest = [max(lengths[i] for i in row) for row in rows]
    assert np.corrcoef(longest, range(len(rows)))[0, 1] == pytest.approx(0, abs=0.1)


def test_windows_stand_one_after_the_other_each_with_its_own_positions(rows_of):
    data, _ = rows_of(row_tokens=16)
    packed = pack(data, [[1, 0], [], [4]], row_tokens=16, first_position=2)
    a, b, c = (data.input_ids[i].tolist() for i in (1, 0, 4))
    assert packed.input_ids.tolist() == [
        a + b + [0] * (16 - len(a) - len(b)), [0] * 16, c + [0] * (16 - len(c))
    ]  # fmt: skip
    assert packed.window_ids[0].tolist() == [1] * len(a) + [2] * len(b) + [0] * (
        16 - len(a) - len(b)
    )
    assert packed.position_ids[0].tolist() == [
        *range(2, 2 + len(a)), *range(2, 2 + len(b)), *[0] * (16 - len(a) - len(b))
    ]  # fmt: skip
    assert packed.labels[0, : len(a)].tolist() == data.labels[1].tolist()
    assert (packed.labels[1] == -100).all()
    assert packed.labels[0, len(a) + len(b) :].tolist() == [-100] * (16 - len(a) - len(b))
