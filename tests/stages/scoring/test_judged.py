import pytest

from stages.model.decode import Span
from stages.scoring.judged import JudgedSentences
from stages.scoring.mistakes import Judged

PER, LOC, ORG = Span(0, 2, "PER"), Span(3, 5, "LOC"), Span(3, 5, "ORG")
SENTENCES = [
    Judged("李明在北京", [PER, LOC], [PER, ORG], {PER: 0.9, LOC: 0.25, ORG: 0.25}),
    Judged("北", [], [], {}),
    Judged(["Li", " Ming", " is", " in", " Bei"], [PER], [], {PER: 0.125}),
    Judged("北京", [], [PER], {PER: 1.0}),
]


@pytest.fixture
def kept():
    judged = JudgedSentences()
    for sentence in SENTENCES:
        judged.append(sentence)
    return judged


def test_each_is_given_back(kept):
    assert list(kept) == SENTENCES
    assert [kept[number] for number in (2, 0)] == [SENTENCES[2], SENTENCES[0]]
    assert kept[1:3] == SENTENCES[1:3]
    assert len(kept) == 4
    with pytest.raises(IndexError):
        kept[4]
