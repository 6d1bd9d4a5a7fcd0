import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.training import plan
from stages.training.batches import (
    make_batches,
    prefetch,
    rank_rows,
    step_seed,
)
from stages.training.plan import PerStep, Plan, pack_rows

pytestmark = pytest.mark.usefixtures("one_thread")
LENGTHS = np.random.default_rng(5).integers(3, 65, size=700).tolist()


@pytest.mark.parametrize("tokens_per_step", [64, 200, 512, 4096])
def test_every_window_once_an_epoch_in_steps_of_one_shape(tokens_per_step):
    steps = Plan(LENGTHS, 3, tokens_per_step, 64, seed=1)
    assert {len(step) for step in steps} == {tokens_per_step // 64}
    windows = [i for step in steps for row in step for i in row]
    for epoch in range(3):
        assert sorted(windows[700 * epoch : 700 * (epoch + 1)]) == list(range(700))
    filled = [sum(bool(row) for row in step) for step in steps]
    assert min(filled) >= max(filled) - 1


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_ranks_share_the_rows_of_a_step(ranks):
    rows = [[number] for number in range(7)]
    shares = [rank_rows(rows, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(row for share in shares for row in share if row) == rows
    assert sum(not row for share in shares for row in share) == -7 % ranks


def test_ranks_draw_dropout_of_their_own():
    assert step_seed(1, 2) == step_seed(1, 2, rank=0) != step_seed(1, 2, rank=1)


def test_the_rows_of_a_seed_stay_the_same():
    """A run that is resumed by newer code goes on with the same rows."""
    assert [*Plan([5, 9, 3, 8, 4, 7, 6, 2], 2, 32, 16, seed=1)] == [
        [[0, 4, 2], [3, 6, 7]],
        [[1, 5], []],
        [[1, 5], [3, 6, 7]],
        [[0, 4, 2], []],
    ]


def test_a_plan_takes_few_bytes_a_window(monkeypatch):
    monkeypatch.setattr(plan, "POOL_ROWS", 64)  # a pool's lists are small then
    lengths = np.random.default_rng(5).integers(3, 65, size=20_000, dtype=np.int32)
    tracemalloc.start()
    try:
        assert Plan(lengths, 1, 512, 64, seed=1)[0]
        assert tracemalloc.get_traced_memory()[1] < 30 * len(lengths)
    finally:
        tracemalloc.stop()


def test_epochs_and_seeds_differ():
    steps = list(Plan(LENGTHS, 2, 512, 64, seed=1))
    assert steps == list(Plan(LENGTHS, 2, 512, 64, seed=1))
    assert steps != list(Plan(LENGTHS, 2, 512, 64, seed=2))
    assert steps[: len(steps) // 2] != steps[len(steps) // 2 :]


@pytest.mark.parametrize("tokens_per_step", [64, 200, 512, 4096])
def test_the_plan_is_that_of_one_generator_over_all_epochs(tokens_per_step):
    rng = np.random.default_rng(7)
    expected = []
    for _ in range(3):
        rows = pack_rows(LENGTHS, 64, rng).rows
        per_step = tokens_per_step // 64
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) // per_step)):
            expected.append([rows[i] for i in part] + [[]] * (per_step - len(part)))
    steps = Plan(LENGTHS, 3, tokens_per_step, 64, seed=7)
    assert [steps[step] for step in reversed(range(len(steps)))] == expected[::-1]
    with pytest.raises(IndexError):
        steps[len(steps)]


@given(st.lists(st.integers(1, 16), min_size=1, max_size=200), st.integers(16, 24))
def test_rows_are_counted_without_packing(lengths, row_tokens):
    steps = Plan(lengths, 2, row_tokens, row_tokens, seed=3)
    rng = np.random.default_rng(3)
    assert len(steps) == sum(len(pack_rows(lengths, row_tokens, rng)) for _ in range(2))


def test_sums_of_steps():
    steps = Plan(LENGTHS, 3, 512, 64, seed=1)
    values = np.arange(700)
    sums = [sum(int(values[i]) for row in step for i in row) for step in steps]
    of_steps = PerStep(steps, values)
    assert [of_steps[step] for step in range(len(of_steps))] == sums
    assert PerStep(steps, values, 0.15)[4] == 0.15 * sums[4]
    for start, stop in [(0, None), (0, 0), (3, 9), (3, len(steps) - 1), (1, len(steps) // 2)]:
        assert of_steps.sum(start, stop) == sum(sums[start:stop])


def test_to_sum_all_steps_none_is_planned(monkeypatch):
    steps = Plan(LENGTHS, 3, 512, 64, seed=1)
    monkeypatch.setattr(plan, "pack_rows", None)
    assert PerStep(steps, np.array(LENGTHS)).sum() == 3 * sum(LENGTHS)


def test_batches_have_one_shape_and_hold_every_label(rows_of):
    data, rows = rows_of(row_tokens=16)
    batches = make_batches(data, rows, rows_per_batch=2, row_tokens=16, first_position=0)
    assert {batch.shape for batch in batches} == {(4, 2, 16)}
    assert len(batches) == -(-len(rows) // 2)
    labelled = sum(int((labels >= 0).sum()) for labels in data.labels)
    assert sum(int((batch[3] >= 0).sum()) for batch in batches) == labelled


def test_each_step_has_a_step_seed_its_own():
    assert len({step_seed(seed, step) for seed in range(20) for step in range(50)}) == 1000


def test_one_is_made_ahead_and_in_order():
    made = []
    for got in prefetch(lambda i: made.append(i) or i * 10, range(5)):
        assert made[: got // 10 + 1] == list(range(got // 10 + 1))
        last = got
    assert (last, made) == (40, [0, 1, 2, 3, 4])


def test_what_fails_ahead_fails_here():
    with pytest.raises(ZeroDivisionError):
        list(prefetch(lambda i: 1 // i, [1, 0]))
