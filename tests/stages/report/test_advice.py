"""What a report says to do first."""

from stages.report.advice import advice
from tests.stages.report.test_worst import judged

RIGHT = judged("甲在北京大学", [(0, 1, "PER"), (2, 6, "ORG")], [(0, 1, "PER"), (2, 6, "ORG")])
SHORT = judged("甲在天津大学", [(0, 1, "PER"), (2, 6, "ORG")], [(0, 1, "PER"), (2, 4, "ORG")])
MISSED = judged("乙在北京大学", [(0, 1, "PER"), (2, 6, "ORG")], [(2, 6, "ORG")])
OTHER = judged("丙", [], [(0, 1, "PER")])
IN_TRAIN = {("甲", "PER"): 9, ("北京大学", "ORG"): 2}


def printed(f1):
    return f"{f1:.2f}"


def test_the_largest_gain_comes_first():
    sentences = [RIGHT, SHORT, SHORT, MISSED]  # of 8 entities 5 are found, by 7 predictions
    found = advice(sentences, IN_TRAIN, printed)
    assert [(each.section, round(each.f1_if_fixed, 3)) for each in found] == [
        ("where", 1.0),  # all mistakes are at unseen names
        ("mistakes", round(14 / 15, 3)),  # the boundaries of two
        ("types", round(14 / 15, 3)),
    ]
    assert len(advice([*sentences, OTHER], IN_TRAIN, printed)) == 3  # not the kind of OTHER
    unseen, kind, type_ = (each.finding for each in found)
    assert unseen == (
        "Names that train does not have are 38% of the entities and 100% of the mistakes: F1 0.00,"
        " against 1.00 for the others."
    )
    assert kind == "80% of the mistakes have a wrong first or last character."
    assert type_ == (
        "ORG is the weakest type: F1 0.50, against 0.67 over all types, and 80% of the mistakes."
    )


def test_what_cannot_be_compared_is_left_out():
    of_one_type = judged("乙在", [(0, 1, "PER")], [])
    [found] = advice([of_one_type], {}, printed)
    assert found.finding == "100% of the mistakes are missed, with no prediction there."
    assert advice([RIGHT], {}, printed) == []


def test_new_names_are_no_finding_where_mistakes_are_as_many_at_the_others():
    missed_both = judged("甲乙", [(0, 1, "PER"), (1, 2, "PER")], [])
    found = advice([missed_both], {("甲", "PER"): 1}, printed)
    assert [each.section for each in found] == ["mistakes"]
