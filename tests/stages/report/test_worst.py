from stages.model.decode import Span
from stages.report.pieces import CONTEXT_CELLS, SHOWN_ENTITIES, WHOLE_CELLS, Mention, Piece
from stages.report.worst import worst
from stages.scoring.mistakes import Judged


def judged(cells, gold, found, sure=0.5):
    gold, found = ([Span(*each) for each in spans] for spans in (gold, found))
    return Judged(cells, gold, found, dict.fromkeys([*gold, *found], sure))


def test_worst_first_and_no_more_than_asked():
    fine = judged("在北京", [(1, 3, "LOC")], [(1, 3, "LOC")])
    one = judged("在北京", [(1, 3, "LOC")], [], 0.9)
    two = judged("在北京", [(1, 3, "LOC")], [(1, 2, "ORG")], 0.6)
    assert [item.number for item in worst([fine, one, two, one], 9)] == [2, 1, 3]
    assert [item.number for item in worst([fine, one, two, one], 2)] == [2, 1]
    [item] = worst([two], 1)
    assert (item.kinds, item.types, item.weight) == ({"too_short": 2}, ["LOC", "ORG"], 1.2)
    assert item.gold == [Piece("在"), Piece("北京", "LOC")]  # the mistake is the prediction's
    assert item.mentions == [Mention("too_short", "ORG", "北")]
    assert item.predicted == [Piece("在"), Piece("北", "ORG", "too_short"), Piece("京")]


def test_a_long_sentence_is_cut_to_what_is_around_its_mistakes():
    size, at = 3 * WHOLE_CELLS, WHOLE_CELLS
    right = (at + CONTEXT_CELLS, at + CONTEXT_CELLS + 9, "PER")  # half of it near the mistake
    [item] = worst([judged("一" * size, [(at, at + 1, "LOC"), right], [right])], 1)
    before, near = "一" * CONTEXT_CELLS, "一" * (CONTEXT_CELLS - 1)
    assert item.gold == [
        Piece(f" … {before}"),
        Piece("一", "LOC", "missed"),
        Piece(near),
        Piece("一" * 9, "PER"),
        Piece(" … "),
    ]
    assert "".join(p.text for p in item.predicted) == "".join(p.text for p in item.gold)


def test_a_list_of_mistakes_is_cut_too_but_all_are_counted():
    gold = [(i, i + 1, "PER") for i in range(0, 9000, 90)]
    [item] = worst([judged("一" * 9000, gold, [])], 1)
    assert item.kinds == {"missed": 100}
    assert sum(piece.kind == "missed" for piece in item.gold) == SHOWN_ENTITIES
