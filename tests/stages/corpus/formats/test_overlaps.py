"""Which of several spans stay where they overlap, and that the others are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus.formats.overlaps import without_overlaps
from tests.stages.corpus.formats.conftest import read
from tests.stages.corpus.spans import spans_in

A, B = "A", "B"
# Given spans; what stays and why the others do not: outermost, innermost.
CASES = {
    "one in another": (
        [(0, 4, A), (1, 3, B)],
        ([(0, 4, A)], ["nested"]),
        ([(1, 3, B)], ["nested"]),
    ),
    "two in one": (
        [(5, 9, A), (1, 3, B), (0, 9, A)],
        ([(0, 9, A)], ["nested", "nested"]),
        ([(1, 3, B), (5, 9, A)], ["nested"]),
    ),
    "three deep": (
        [(0, 9, A), (0, 5, B), (2, 4, A), (6, 9, B)],
        ([(0, 9, A)], ["nested"] * 3),
        ([(2, 4, A), (6, 9, B)], ["nested"] * 2),
    ),
    "crossing": (
        [(0, 3, A), (2, 6, B)],
        ([(2, 6, B)], ["crossing"]),
        ([(0, 3, A)], ["crossing"]),
    ),
    "crossing, of one length": (
        [(2, 5, B), (0, 3, A)],
        ([(0, 3, A)], ["crossing"]),
        ([(0, 3, A)], ["crossing"]),
    ),
    "a chain": (  # the one in the middle is the longest
        [(0, 3, A), (2, 6, B), (5, 8, A)],
        ([(2, 6, B)], ["crossing", "crossing"]),
        ([(0, 3, A), (5, 8, A)], ["crossing"]),
    ),
    "two types": (
        [(0, 3, B), (0, 3, A)],
        ([(0, 3, B)], ["two_types"]),
        ([(0, 3, B)], ["two_types"]),
    ),
    "written twice": (
        [(0, 3, A), (4, 5, B), (0, 3, A)],
        ([(0, 3, A), (4, 5, B)], ["repeated_span"]),
        ([(0, 3, A), (4, 5, B)], ["repeated_span"]),
    ),
    "neighbours": (
        [(3, 5, A), (0, 3, A)],
        ([(0, 3, A), (3, 5, A)], []),
        ([(0, 3, A), (3, 5, A)], []),
    ),
}


@pytest.mark.parametrize(("spans", "outermost", "innermost"), CASES.values(), ids=CASES)
def test_what_stays(spans, outermost, innermost):
    assert without_overlaps(spans, "outermost") == outermost
    assert without_overlaps(spans, "innermost") == innermost
    if not outermost[1]:
        assert without_overlaps(spans, "refuse") == outermost
        return
    with pytest.raises(ValueError, match=r"^the spans \[\d, \d, '[AB]'\] and .* overlap, but"):
        without_overlaps(spans, "refuse")


def _overlap(one, two):
    return one[0] < two[1] and two[0] < one[1]


SPAN = st.tuples(st.integers(0, 20), st.integers(1, 9), st.sampled_from([A, B])).map(
    lambda span: (span[0], span[0] + span[1], span[2])
)


@given(st.lists(SPAN, max_size=12), st.sampled_from(["outermost", "innermost"]))
def test_nothing_is_left_out_that_could_stay(spans, nested):
    kept, left_out = without_overlaps(spans, nested)
    assert kept == sorted(kept)
    assert not any(_overlap(one, two) for one in kept for two in kept if one is not two)
    assert all(span in kept or any(_overlap(span, k) for k in kept) for span in spans)
    assert len(kept) + len(left_out) == len(spans)


def test_the_corpus_counts_what_is_left_out_with_its_place(tmp_path):
    lines = [
        '{"text": "北京大学医院", "label": [[0, 4, "ORG"], [0, 2, "LOC"], [0, 6, "ORG"]]}',
        '{"text": "京", "label": [[0, 1, "LOC"], [0, 1, "LOC"]]}',
        '{"text": "北京沪", "label": [[0, 2, "LOC"], [1, 3, "ORG"]]}',
    ]
    corpora = {
        nested: read(tmp_path / nested, "\n".join(lines), format="jsonl", nested=nested)
        for nested in ("outermost", "innermost")
    }
    assert [spans_in(s.tags) for s in corpora["outermost"].sentences] == [
        [(0, 6, "ORG")],
        [(0, 1, "LOC")],
        [(0, 2, "LOC")],
    ]
    assert [spans_in(s.tags) for s in corpora["innermost"].sentences] == [
        [(0, 2, "LOC")],
        [(0, 1, "LOC")],
        [(0, 2, "LOC")],
    ]
    for nested, corpus in corpora.items():
        assert corpus.repairs.counts == {"nested": 2, "repeated_span": 1, "crossing": 1}
        assert corpus.repairs.first["crossing"] == [f"{tmp_path / nested}:3"]


def test_words_that_share_only_a_blank_do_not_overlap(tmp_path):
    line = '{"text": "Ann met", "label": [[0, 4, "PER"], [3, 7, "ACT"]]}'
    for nested in ("refuse", "outermost"):
        corpus = read(tmp_path / "a", line, format="jsonl", cells="words", nested=nested)
        [sentence] = corpus.sentences
        assert sentence.tags == ("B-PER", "B-ACT")
        assert corpus.repairs.counts == {"space": 2}
