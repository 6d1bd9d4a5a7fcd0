import pytest

from stages.model.decode import Span
from stages.scoring.mistakes import Judged, Mistake
from stages.scoring.spans import counts


def judged(gold, found, cells="一二三四五六七八九十"):
    gold, found = ([Span(*each) for each in spans] for spans in (gold, found))
    return Judged(cells, gold, found, dict.fromkeys([*gold, *found], 0.5))


@pytest.mark.parametrize(
    ("kind", "gold", "found"),
    [
        ("type", (2, 5, "PER"), (2, 5, "ORG")),
        ("too_long", (2, 5, "PER"), (2, 6, "PER")),
        ("too_long", (2, 5, "PER"), (1, 6, "ORG")),
        ("too_short", (2, 5, "PER"), (3, 5, "PER")),
        ("too_short", (2, 5, "PER"), (3, 4, "ORG")),
        ("shifted", (2, 5, "PER"), (1, 4, "PER")),
        ("shifted", (2, 5, "PER"), (4, 8, "PER")),
    ],
)
def test_a_pair_is_of_one_kind_seen_from_either_side(kind, gold, found):
    sentence = judged([gold], [found])
    gold, found = Span(*gold), Span(*found)
    sides = {Mistake(kind, True, gold, (found,)), Mistake(kind, False, found, (gold,))}
    assert set(sentence.mistakes) == sides
    assert counts([sentence]).tolist() == [[1, 1, 0]]


def test_what_has_no_counterpart():
    sentence = judged([(0, 2, "PER"), (8, 10, "LOC")], [(0, 2, "PER"), (2, 8, "ORG")])
    assert sentence.mistakes == [
        Mistake("false_positive", False, Span(2, 8, "ORG"), ()),
        Mistake("missed", True, Span(8, 10, "LOC"), ()),
    ]
    assert counts([sentence]).tolist() == [[2, 2, 1]]
    assert sentence.text(Span(8, 10, "LOC")) == "九十"


def test_of_several_counterparts_the_one_with_most_in_common_says_the_kind():
    split = judged([(0, 6, "ORG")], [(0, 2, "LOC"), (2, 6, "ORG")])
    assert [m.kind for m in split.mistakes] == ["too_short"] * 3
    joined = judged([(0, 1, "PER"), (2, 7, "ORG")], [(0, 6, "ORG")])
    [missed, spurious, other] = joined.mistakes
    assert (missed.kind, spurious.kind, other.kind) == ("too_long", "shifted", "shifted")
    assert spurious.against == (Span(0, 1, "PER"), Span(2, 7, "ORG"))
