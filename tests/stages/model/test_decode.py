import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.model.decode import Span, best_tags, confidence, spans
from stages.text.labels import follows, iob2_tags

TAGS = iob2_tags(["PER", "LOC"])
LABELS = range(len(TAGS))


def allowed(path):
    return all(follows(TAGS[b], TAGS[a]) for a, b in zip([0, *path], path, strict=False))


def total(emission, path):
    return sum(float(row[label]) for row, label in zip(emission, path, strict=True))


# Quarters add up exactly, so that equal means equal; and there are ties.
SCORES = st.integers(-8, 0).map(lambda quarters: quarters / 4)


def emission(cells, scores=SCORES):
    row = st.lists(scores, min_size=len(TAGS), max_size=len(TAGS))
    return st.lists(row, min_size=cells, max_size=cells).map(
        lambda rows: np.array(rows, dtype=np.float32)
    )


@given(st.integers(1, 4).flatmap(emission))
@settings(deadline=None, max_examples=60)
def test_the_best_of_all_allowed_sequences(emission):
    [path] = best_tags([emission], TAGS)
    assert allowed(path)
    every = [p for p in product(LABELS, repeat=len(emission)) if allowed(p)]
    assert total(emission, path) == max(total(emission, p) for p in every)


ANY = st.floats(-50, 0, width=32) | st.just(-np.inf)


@given(st.lists(st.integers(1, 9).flatmap(lambda n: emission(n, ANY)), min_size=1), st.data())
@settings(deadline=None, max_examples=60)
def test_never_an_illegal_tag(emissions, data):
    """Nor where nothing allowed is possible, nor from a model that has diverged to NaN."""
    for emission in emissions:
        emission[data.draw(st.integers(0, len(emission))) :] = np.nan
    for path in best_tags(emissions, TAGS):
        assert allowed(path)


@given(st.lists(st.integers(1, 9).flatmap(emission), min_size=2, max_size=6), st.randoms())
@settings(deadline=None, max_examples=60)
def test_a_sentence_does_not_hang_on_its_neighbours(emissions, random):
    """Alone, together, in another order: the same path, also where several are as good."""
    together = [path.tolist() for path in best_tags(emissions, TAGS)]
    assert together == [best_tags([emission], TAGS)[0].tolist() for emission in emissions]
    order = list(range(len(emissions)))
    random.shuffle(order)
    shuffled = best_tags([emissions[i] for i in order], TAGS)
    assert [together[i] for i in order] == [path.tolist() for path in shuffled]


def test_more_sentences_than_go_together():
    rng = np.random.default_rng(0)
    emissions = [
        np.log(rng.dirichlet(np.ones(len(TAGS)), 1 + i % 7)).astype(np.float32) for i in range(300)
    ]
    for emission, path in zip(emissions, best_tags(emissions, TAGS), strict=True):
        assert path.tolist() == best_tags([emission], TAGS)[0].tolist()


@pytest.mark.parametrize(
    ("favoured", "expected"),
    [
        (["I-PER"], ["O"]),
        (["B-PER"], ["B-PER"]),
        (["B-PER", "I-LOC"], ["B-PER", "O"]),
        (["I-PER", "I-PER"], ["B-PER", "I-PER"]),
        (["O", "I-PER", "I-PER", "O"], ["O", "B-PER", "I-PER", "O"]),
        (["B-PER", "I-LOC", "I-LOC", "I-LOC"], ["B-PER", "B-LOC", "I-LOC", "I-LOC"]),
    ],
)
def test_by_hand(favoured, expected):
    """What is favoured has -1, B- of the same type -2, O -1.75, and the rest -4."""
    rows = np.full((len(favoured), len(TAGS)), -4.0, dtype=np.float32)
    for row, tag in zip(rows, favoured, strict=True):
        row[0] = -1.75
        row[TAGS.index("B-" + tag[2:]) if tag != "O" else 0] = -2
        row[TAGS.index(tag)] = -1
    [path] = best_tags([rows], TAGS)
    assert [TAGS[label] for label in path] == expected


def test_all_equal_is_no_entity():
    [path] = best_tags([np.zeros((5, len(TAGS)), dtype=np.float32)], TAGS)
    assert path.tolist() == [0, 0, 0, 0, 0]


def test_2500_cells():
    rng = np.random.default_rng(0)
    emission = np.log(rng.dirichlet(np.full(len(TAGS), 0.3), 2500)).astype(np.float32)
    [path] = best_tags([emission], TAGS)
    assert allowed(path)
    assert total(emission, path) == pytest.approx(_best_score(emission), abs=1e-9)


def _best_score(emission):
    """Of the best allowed sequence, step by step in double precision."""
    score = {label: float(emission[0][label]) for label in LABELS if allowed([label])}
    for row in emission[1:]:
        score = {
            label: max(s for b, s in score.items() if follows(TAGS[label], TAGS[b])) + float(value)
            for label, value in enumerate(row)
        }
    return max(score.values())


def test_memory_is_bounded_however_many_types():
    tags = iob2_tags([f"T{number}" for number in range(128)])
    rng = np.random.default_rng(0)
    lengths = [*range(1, 40), *[2] * 2000]  # 4,780 cells: 5 MB of scores
    emissions = [rng.standard_normal((n, len(tags)), dtype=np.float32) for n in lengths]
    tracemalloc.start()
    paths = best_tags(emissions, tags)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6
    table = np.array([[0.0 if follows(tag, b) else -np.inf for tag in tags] for b in tags])
    for path, emission in zip(paths[:60], emissions, strict=False):
        assert path.tolist() == _best_path(emission, table.astype(np.float32))


def _best_path(emission, table):
    """Viterbi with the whole table of transitions; of equal ones the first."""
    score, back = emission[0] + table[0], []
    for row in emission[1:]:
        candidates = score[:, None] + table
        back.append(candidates.argmax(axis=0))
        score = candidates.max(axis=0) + row
    path = [int(score.argmax())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    return path[::-1]


def test_no_sentence_and_an_empty_one():
    assert best_tags([], TAGS) == []
    empty = np.empty((0, len(TAGS)), dtype=np.float32)
    assert [path.tolist() for path in best_tags([empty], TAGS)] == [[]]
    one = np.zeros((1, len(TAGS)), dtype=np.float32)
    assert [path.tolist() for path in best_tags([empty, one], TAGS)] == [[], [0]]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-PER", [Span(0, 1, "PER")]),
        ("B-PER I-PER O B-LOC", [Span(0, 2, "PER"), Span(3, 4, "LOC")]),
        ("B-PER B-PER I-PER", [Span(0, 1, "PER"), Span(1, 3, "PER")]),
        ("B-PER I-PER B-LOC I-LOC I-LOC", [Span(0, 2, "PER"), Span(2, 5, "LOC")]),
    ],
)
def test_spans(tags, expected):
    assert spans(tags.split()) == expected


ENTITY = st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(["PER", "LOC"]))


@given(st.lists(ENTITY), st.integers(0, 2))
def test_spans_of_any_tags(entities, rest):
    tags, expected = [], []
    for gap, length, type_ in entities:
        tags += ["O"] * gap
        expected.append(Span(len(tags), len(tags) + length, type_))
        tags += [f"B-{type_}"] + [f"I-{type_}"] * (length - 1)
    assert spans(tags + ["O"] * rest) == expected


def test_confidence():
    probabilities = np.array([[0.1, 0.9], [0.5, 0.5], [0.25, 0.75]], dtype=np.float32)
    labels = np.array([1, 0, 1])
    emission = np.log(probabilities)
    assert confidence(Span(0, 1, "X"), labels, emission) == pytest.approx(0.9)
    assert confidence(Span(0, 3, "X"), labels, emission) == pytest.approx((0.9 + 0.5 + 0.75) / 3)
    assert confidence(Span(1, 3, "X"), labels, emission) == pytest.approx((0.5 + 0.75) / 2)
