"""Which sentences a slice has, by each of its conditions and by several."""

import numpy as np
import pytest

from stages.contract.errors import StageError
from stages.model.decode import Span
from stages.params.evaluate import Slice
from stages.scoring.mistakes import Judged
from stages.scoring.slices import Members, members, read_members, slice_scores, write_members
from stages.text.windows_table import Aligned

TEXTS = ["北京", "北京大学1998", "上海", "没有"]
META = ['{"source": "a", "year": 1998}', '{"source": "b"}', '{"source": "a"}', "{}"]
NOTHING = np.empty(0, dtype=np.int64)


def part(*windows):
    """Some sentences, of which each window has a number there and in all, and its cells."""
    return Aligned(
        sentence=[here for here, _, _ in windows],
        cells=[list(text) for _, _, text in windows],
        input_ids=[NOTHING] * len(windows),
        labels=[NOTHING] * len(windows),
        meta=[META[number] for _, number, _ in windows],
    )


@pytest.fixture
def split():
    """The second sentence in two windows, the last two in another part."""
    first = part((0, 0, "北京"), (1, 1, "北京大"), (1, 1, "学1998"))
    return [first, part((0, 2, "上海"), (1, 3, "没有"))]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"pattern": "北京$|海"}, [0, 2]),
        ({"min_characters": 3}, [1]),
        ({"max_characters": 2}, [0, 2, 3]),
        ({"min_characters": 8, "max_characters": 8}, [1]),
        ({"meta": {"source": "a"}}, [0, 2]),
        ({"meta": {"source": "a", "year": 1998}}, [0]),
        ({"meta": {"year": "1998"}}, []),
        ({"type": "LOC"}, [0, 1, 2, 3]),
        ({"meta": {"source": "a"}, "pattern": "京"}, [0]),
    ],
)
def test_its_sentences_meet_all_conditions(split, tmp_path, conditions, expected):
    found = members({"x": Slice.model_validate(conditions)}, split, ["LOC"])
    assert [[*each.sentences] for each in found] == [expected]
    write_members(tmp_path / "slices", found)
    read = read_members((tmp_path / "slices").open(encoding="utf-8"))
    assert read == [Members("x", conditions.get("type"), expected)]


def test_a_column_that_no_sentence_has_is_named_with_those_there_are(split):
    asked = {"x": Slice.model_validate({"meta": {"sauce": "a"}})}
    with pytest.raises(StageError, match="names sauce, but the test split has source, year;"):
        members(asked, split, ["LOC"])


def test_the_figures_of_one_type_and_of_nothing():
    here, there = Span(0, 2, "LOC"), Span(3, 5, "LOC")
    judged = [Judged((), [here], [here, there], {}), Judged((), [Span(0, 2, "ORG")], [], {})]
    slices = [
        Members("places", "LOC", [0, 1]),
        Members("all", None, [0, 1]),
        Members("none", None, []),
    ]
    scores = slice_scores(slices, judged)
    assert scores["places"] == {
        "f1": 2 / 3,
        "precision": 1 / 2,
        "recall": 1.0,
        "support": 1,
        "sentences": 2,
    }
    assert scores["all"]["f1"] == 2 / 4
    assert set(scores["none"].values()) == {0}
