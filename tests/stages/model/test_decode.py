import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.model.decode import Decoder, Span, spans
from stages.model.transitions import Transitions, allowed
from stages.text.labels import follows, iob2_tags
from tests.stages.model.decoding import (
    LABELS,
    LINEAR,
    TAGS,
    both,
    emission_of,
    legal,
    normalised,
    total,
    transitions,
)


@both
@given(emission=st.integers(1, 4).flatmap(emission_of))
@settings(deadline=None, max_examples=60)
def test_the_best_of_all_allowed_sequences(decoder, emission):
    [path] = decoder.best_tags([emission])
    assert legal(path)
    every = [p for p in product(LABELS, repeat=len(emission)) if legal(p)]
    assert total(emission, path, decoder) == max(total(emission, p, decoder) for p in every)


ANY = st.floats(-50, 0, width=32) | st.just(-np.inf)


@both
@given(
    emissions=st.lists(st.integers(1, 9).flatmap(lambda n: emission_of(n, ANY)), min_size=1),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_never_an_illegal_tag(decoder, emissions, data):
    """Nor where nothing allowed is possible, nor from a model that has diverged to NaN."""
    for emission in emissions:
        emission[data.draw(st.integers(0, len(emission))) :] = np.nan
    for path in decoder.best_tags(emissions):
        assert legal(path)


@both
@given(
    emissions=st.lists(st.integers(1, 9).flatmap(emission_of), min_size=2, max_size=6),
    random=st.randoms(),
)
@settings(deadline=None, max_examples=60)
def test_a_sentence_does_not_hang_on_its_neighbours(decoder, emissions, random):
    """Alone, together, in another order: the same path, also where several are as good."""
    together = [path.tolist() for path in decoder.best_tags(emissions)]
    assert together == [decoder.best_tags([emission])[0].tolist() for emission in emissions]
    order = list(range(len(emissions)))
    random.shuffle(order)
    shuffled = decoder.best_tags([emissions[i] for i in order])
    assert [together[i] for i in order] == [path.tolist() for path in shuffled]


def test_more_sentences_than_go_together():
    rng = np.random.default_rng(0)
    emissions = [
        np.log(rng.dirichlet(np.ones(len(TAGS)), 1 + i % 7)).astype(np.float32) for i in range(300)
    ]
    for emission, path in zip(emissions, LINEAR.best_tags(emissions), strict=True):
        assert path.tolist() == LINEAR.best_tags([emission])[0].tolist()


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
    [path] = LINEAR.best_tags([rows])
    assert [TAGS[label] for label in path] == expected


def test_all_equal_is_no_entity():
    [path] = LINEAR.best_tags([np.zeros((5, len(TAGS)), dtype=np.float32)])
    assert path.tolist() == [0, 0, 0, 0, 0]


def test_2500_cells():
    rng = np.random.default_rng(0)
    emission = np.log(rng.dirichlet(np.full(len(TAGS), 0.3), 2500)).astype(np.float32)
    [path] = LINEAR.best_tags([emission])
    assert legal(path)
    assert total(emission, path) == pytest.approx(_best_score(emission), abs=1e-9)


def _best_score(emission):
    """Of the best allowed sequence, step by step in double precision."""
    score = {label: float(emission[0][label]) for label in LABELS if legal([label])}
    for row in emission[1:]:
        score = {
            label: max(s for b, s in score.items() if follows(TAGS[label], TAGS[b])) + float(value)
            for label, value in enumerate(row)
        }
    return max(score.values())


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_memory_is_bounded_however_many_types(head):
    tags = iob2_tags([f"T{number}" for number in range(128)])
    rng = np.random.default_rng(0)
    lengths = [*range(1, 40), *[2] * 2000]  # 4,780 cells: 5 MB of scores
    emissions = [rng.standard_normal((n, len(tags)), dtype=np.float32) for n in lengths]
    table = np.where(allowed(tags), 0.0, -np.inf).astype(np.float32)
    decoder = Decoder(tags, Transitions(table[0], table) if head == "crf" else None)
    tracemalloc.start()
    paths = decoder.best_tags(emissions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6
    for path, emission in zip(paths[:60], emissions, strict=False):
        assert path.tolist() == _best_path(emission, table)


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


@both
def test_no_sentence_and_an_empty_one(decoder):
    assert decoder.best_tags([]) == decoder.log_marginals([]) == []
    empty = np.empty((0, len(TAGS)), dtype=np.float32)
    assert [path.tolist() for path in decoder.best_tags([empty])] == [[]]
    assert [rows.shape for rows in decoder.log_marginals([empty])] == [(0, len(TAGS))]
    one = np.zeros((1, len(TAGS)), dtype=np.float32)
    one[0, 0] = 9
    assert [path.tolist() for path in decoder.best_tags([empty, one])] == [[], [0]]
    assert [rows.shape for rows in decoder.log_marginals([empty, one])] == [empty.shape, one.shape]


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


def test_transitions_that_forbid_nothing_more_change_nothing():
    neutral = Decoder(TAGS, transitions(np.zeros((1 + len(TAGS), len(TAGS)))))
    rng = np.random.default_rng(1)
    emissions = [normalised(rng.standard_normal((n, len(TAGS)))) for n in range(1, 40)]
    for ours, theirs in zip(neutral.best_tags(emissions), LINEAR.best_tags(emissions), strict=True):
        assert ours.tolist() == theirs.tolist()
