"""Names of a test split, counted in train."""

from stages.scoring.in_train import NameCounts


def test_only_wanted_names_are_counted_and_a_type_is_part_of_the_name():
    wanted = [("北京", "LOC"), ("李明", "PER"), ("北京", "LOC"), ("北京", "ORG"), ("\ud800", "PER")]
    counts = NameCounts(wanted)
    counts.add([("北京", "LOC"), ("上海", "LOC"), ("北京", "LOC"), ("\ud800", "PER")])
    counts.add([("北京", "LOC")])
    counts.add([])
    assert [counts.get(name, -1) for name in wanted] == [3, 0, 3, 0, 1]
    assert counts.get(("上海", "LOC"), -1) == -1


def test_a_split_without_entities_has_no_names():
    counts = NameCounts([])
    counts.add([("北京", "LOC")])
    assert counts.get(("北京", "LOC"), 0) == 0
