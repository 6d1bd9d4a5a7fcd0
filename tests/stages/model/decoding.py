"""Two decoders, and sentences to decode."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st

from stages.model.decode import Decoder
from stages.model.transitions import Transitions, allowed
from stages.text.labels import follows, iob2_tags

TAGS = iob2_tags(["PER", "LOC"])
LABELS = range(len(TAGS))


def transitions(scores):
    """Of these scores [1 + labels, labels], the first row for the start, where IOB2 allows them."""
    table = np.where(allowed(TAGS), scores[1:], -np.inf)
    start = np.where(allowed(TAGS)[0], scores[0], -np.inf)
    return Transitions(start.astype(np.float32), table.astype(np.float32))


LINEAR = Decoder(TAGS)
# Quarters add up exactly, so that equal means equal; and there are ties.
QUARTERS = np.random.default_rng(8).integers(-8, 8, size=(1 + len(TAGS), len(TAGS))) / 4
CRF = Decoder(TAGS, transitions(QUARTERS))
both = pytest.mark.parametrize("decoder", [LINEAR, CRF], ids=["linear", "crf"])


def legal(path):
    return all(follows(TAGS[b], TAGS[a]) for a, b in zip([0, *path], path, strict=False))


def total(emission, path, decoder=LINEAR):
    score = sum(float(row[label]) for row, label in zip(emission, path, strict=True))
    if decoder.transitions and len(path):
        score += float(decoder.transitions.start[path[0]])
        score += sum(float(decoder.transitions.scores[a, b]) for a, b in pairwise(path))
    return score


SCORES = st.integers(-8, 0).map(lambda quarters: quarters / 4)


def emission_of(cells, scores=SCORES):
    row = st.lists(scores, min_size=len(TAGS), max_size=len(TAGS))
    return st.lists(row, min_size=cells, max_size=cells).map(
        lambda rows: np.array(rows, dtype=np.float32)
    )


def normalised(emission):
    return emission - np.logaddexp.reduce(emission, axis=1, keepdims=True)
