from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.model.decode import Decoder, Span, confidences
from tests.stages.model.decoding import (
    CRF,
    LABELS,
    LINEAR,
    TAGS,
    emission_of,
    legal,
    normalised,
    total,
    transitions,
)


@given(st.lists(st.integers(1, 4).flatmap(emission_of), min_size=1, max_size=4))
@settings(deadline=None, max_examples=40)
def test_marginals_are_the_shares_of_all_allowed_sequences(emissions):
    emissions = [normalised(emission) for emission in emissions]
    for emission, found in zip(emissions, CRF.log_marginals(emissions), strict=True):
        every = [p for p in product(LABELS, repeat=len(emission)) if legal(p)]
        weights = np.exp([total(emission, path, CRF) for path in every])
        expected = np.zeros(emission.shape)
        for path, weight in zip(every, weights / weights.sum(), strict=True):
            expected[np.arange(len(path)), path] += weight
        np.testing.assert_allclose(np.exp(found), expected, rtol=1e-4, atol=1e-7)


def test_marginals_of_a_linear_head_are_its_own():
    emissions = [np.zeros((2, len(TAGS)), dtype=np.float32)]
    assert LINEAR.log_marginals(emissions) is emissions


def test_marginals_of_2500_cells_and_of_a_sure_model():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((2500, len(TAGS))) * 60
    emission = normalised(logits).astype(np.float32)
    [marginals] = CRF.log_marginals([emission])
    np.testing.assert_allclose(np.exp(marginals).sum(axis=1), 1, rtol=1e-5)
    # The best path is by far the most probable one here.
    [path] = CRF.best_tags([emission])
    assert np.median(np.exp(marginals[np.arange(2500), path])) > 0.99


def test_marginals_where_no_allowed_sequence_is_possible():
    """Nothing but I-PER, then nothing but O, again and again: no number is too small."""
    emission = np.full((40, len(TAGS)), -np.inf, dtype=np.float32)
    emission[::2, TAGS.index("I-PER")] = emission[1::2, TAGS.index("O")] = 0
    least = Decoder(TAGS, transitions(np.full((1 + len(TAGS), len(TAGS)), -100.0)))
    for decoder in (CRF, least):
        [marginals] = decoder.log_marginals([emission])
        np.testing.assert_allclose(np.exp(marginals).sum(axis=1), 1, rtol=1e-5)


def test_confidences():
    probabilities = np.array([[0.1, 0.9], [0.5, 0.5], [0.25, 0.75]], dtype=np.float32)
    found = [Span(0, 1, "X"), Span(0, 3, "X"), Span(1, 3, "X")]
    expected = [0.9, (0.9 + 0.5 + 0.75) / 3, (0.5 + 0.75) / 2]
    labels = np.array([1, 0, 1])
    assert confidences(found, labels, np.log(probabilities)) == pytest.approx(expected)
    assert confidences([], labels, np.log(probabilities)) == []
