import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.model.emissions import emissions

LABELS = 5
TABLE = np.random.default_rng(0).normal(size=(40, LABELS)).astype(np.float32)
MIXED = np.random.default_rng(1).normal(size=(40, LABELS)).astype(np.float32)


class Model:
    """A model whose logits hang on the token and on all that is not masked around it."""

    def __init__(self):
        self.shapes = []

    def __call__(self, ids, mask):
        assert ids.shape == mask.shape
        assert ids.dtype == mask.dtype == np.int64
        self.shapes.append(ids.shape)
        # In double precision and rounded, so that the length of a row of padding adds nothing.
        around = (MIXED[ids].astype(np.float64) * mask[:, :, None]).sum(axis=1, keepdims=True)
        return (TABLE[ids] + around.round(3)).astype(np.float32)


@st.composite
def split(draw):
    """Windows of sentences: their ids, which tokens are scored, whose they are."""
    input_ids, scored, sentence = [], [], []
    for number in range(draw(st.integers(1, 6))):
        for _ in range(draw(st.integers(1, 3))):
            ids = draw(st.lists(st.integers(0, 39), min_size=1, max_size=20))
            input_ids.append(np.array(ids, dtype=np.int32))
            scored.append(
                np.array(draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))))
            )
            sentence.append(number)
    return input_ids, scored, sentence


@given(split(), st.integers(1, 100))
@settings(deadline=None)
def test_windows_are_merged_in_order_whatever_the_batches(split, tokens_per_batch):
    input_ids, scored, sentence = split
    done = []
    model = Model()
    found = emissions(input_ids, scored, sentence, model, tokens_per_batch, done.append)

    expected = [np.empty((0, LABELS), dtype=np.float32)] * (sentence[-1] + 1)
    for ids, real, number in zip(input_ids, scored, sentence, strict=True):
        [logits] = Model()(ids[None].astype(np.int64), np.ones((1, len(ids)), dtype=np.int64))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        rows = np.log(probabilities)[real]
        expected[number] = np.concatenate([expected[number], rows])
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)

    assert done == [rows for rows, _ in model.shapes]
    assert sum(done) == len(input_ids)
    longest = max(map(len, input_ids))
    assert all(r * length <= tokens_per_batch or r == 1 for r, length in model.shapes)
    assert max(length for _, length in model.shapes) == longest


def test_by_hand():
    """Two sentences of two windows and one; [CLS], [SEP] and shared tokens are left out."""
    input_ids = [np.array([1, 10, 11, 12, 2]), np.array([1, 12, 13, 2]), np.array([1, 14, 2])]
    scored = [np.array(row, dtype=bool) for row in ([0, 1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0])]

    def forward(ids, mask):
        return TABLE[ids]

    first, second = emissions(input_ids, scored, [0, 0, 1], forward, 1000)
    assert first.argmax(-1).tolist() == TABLE[[10, 11, 12, 13]].argmax(-1).tolist()
    assert second.argmax(-1).tolist() == TABLE[[14]].argmax(-1).tolist()
    np.testing.assert_allclose(np.exp(first).sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize("size", [1e4, 60_000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_large_logits(size, dtype):
    """No overflow: half precision goes to 65,504."""
    logits = np.array([[[size, 0, -size]]], dtype=dtype)
    [found] = emissions([np.array([7])], [np.array([True])], [0], lambda *_: logits, 9)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, -size, -2 * size]], rtol=1e-3)
