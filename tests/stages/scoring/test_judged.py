import tracemalloc

import pytest

from stages.model.decode import Span
from stages.scoring.judged import JudgedSentences
from stages.scoring.mistakes import Judged
from stages.scoring.temperature import Calibration, TypeCalibration

PER, LOC, ORG = Span(0, 2, "PER"), Span(3, 5, "LOC"), Span(3, 5, "ORG")
SENTENCES = [
    Judged("李明在北京", [PER, LOC], [PER, ORG], {PER: 0.9, LOC: 0.25, ORG: 0.25}),
    Judged("北", [], [], {}),
    Judged(["Li", " Ming", " is", " in", " Bei"], [PER], [], {PER: 0.125}),
    Judged("北京", [], [PER], {PER: 1.0}),
]


@pytest.fixture
def kept():
    return JudgedSentences(SENTENCES)


def test_each_is_given_back(kept):
    assert list(kept) == SENTENCES
    assert [kept[number] for number in (2, 0)] == [SENTENCES[2], SENTENCES[0]]
    assert kept[1:3] == SENTENCES[1:3]
    assert len(kept) == 4
    with pytest.raises(IndexError):
        kept[4]


def test_calibrated_they_have_other_confidences_and_some_pass(kept):
    types = {"PER": (2.0, 0.0, 0.5), "LOC": (1.0, -1.0, None), "ORG": (1.0, 1.0, 0.4754)}
    calibration = Calibration(
        {type_: TypeCalibration(t, b, 0, low, 0.0, 0.0, 0) for type_, (t, b, low) in types.items()}
    )
    scored = kept.calibrated(calibration)
    assert [row.confidence for row in scored] == [
        {PER: 0.75, LOC: 0.1092, ORG: 0.4754},
        {},
        {PER: 0.2743},
        {PER: 0.999},
    ]
    sides = [(row.cells, row.gold, row.predicted) for row in SENTENCES]
    assert [(row.cells, row.gold, row.predicted) for row in scored] == sides
    assert [row.predicted for row in scored.passed(calibration)] == [[PER, ORG], [], [], [PER]]
    assert list(kept) == SENTENCES


def test_texts_are_on_disk_and_half_a_surrogate_pair_is_kept(tmp_path):
    odd = Judged("京\ud800", [Span(0, 1, "LOC")], [], {Span(0, 1, "LOC"): 0.5})
    tracemalloc.start()
    kept = JudgedSentences(
        [odd, *(Judged(str(n) * 500, [], [], {}) for n in range(1000))], tmp_path
    )
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size < 100_000  # the texts are over a million characters
    assert kept[0] == odd
    assert kept[1000].cells == "999" * 500
