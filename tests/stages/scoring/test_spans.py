import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from stages.model.decode import Decoder, spans
from stages.scoring.spans import predict, score, strict_scores
from stages.text.labels import IGNORED, follows, iob2_tags
from stages.text.windows_table import Aligned

TAGS = iob2_tags(["PER", "LOC"])
MANY = [f"T{n}" for n in range(12)]


def figures(precision, recall, f1, support):
    return pytest.approx(
        {"precision": precision, "recall": recall, "f1": f1, "support": support}, abs=1e-12
    )


def test_by_hand():
    """5 entities, 6 found, 2 right: a boundary and a type are wrong, one is split in two."""
    gold = [
        "B-PER I-PER O B-LOC I-LOC",
        "B-LOC I-LOC I-LOC O",
        "B-PER O B-LOC",
    ]
    predicted = [
        "B-PER I-PER O B-LOC O",
        "B-LOC I-LOC B-LOC O",
        "B-LOC O B-LOC",
    ]
    scores = strict_scores(*([row.split() for row in rows] for rows in (gold, predicted)))
    assert scores.pop("types") == {
        "PER": figures(1, 1 / 2, 2 / 3, 2),
        "LOC": figures(1 / 5, 1 / 3, 1 / 4, 3),
    }
    assert scores == figures(2 / 6, 2 / 5, 4 / 11, 5)


@pytest.mark.parametrize(
    ("gold", "predicted", "types"),
    [("O O", "O O", []), ("O O", "B-PER O", ["PER"]), ("O B-LOC", "O O", ["LOC"])],
)
def test_nothing_right_is_zero(gold, predicted, types):
    scores = strict_scores([gold.split()], [predicted.split()])
    json.dumps(scores, allow_nan=False)
    support = gold.count("B-")
    assert scores.pop("types") == {type_: figures(0, 0, 0, support) for type_ in types}
    assert scores == figures(0, 0, 0, support)


def test_a_stray_i_is_no_entity():
    """Which it is for seqeval's own default and for conlleval."""
    scores = strict_scores([["B-PER", "I-PER", "O"]], [["I-PER", "I-PER", "O"]])
    assert scores.pop("types") == {"PER": figures(0, 0, 0, 1)}
    assert scores == figures(0, 0, 0, 1)


@st.composite
def tag_rows(draw):
    """Gold and predicted tags of some sentences, both valid."""
    rows = []
    for length in draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)):
        for _ in range(2):
            row = ["O"]
            for _ in range(length):
                row.append(draw(st.sampled_from([t for t in TAGS if follows(t, row[-1])])))
            rows.append(row[1:])
    return rows[::2], rows[1::2]


@given(tag_rows())
@settings(deadline=None)
def test_the_same_as_sets_of_spans(rows):
    found = strict_scores(*rows)
    json.dumps(found, allow_nan=False)
    gold, predicted = ({(i, s) for i, row in enumerate(r) for s in spans(row)} for r in rows)
    for type_ in ("PER", "LOC", None):
        ours, theirs = (
            {(i, s) for i, s in side if type_ in (None, s.type)} for side in (gold, predicted)
        )
        if type_ and not ours | theirs:
            assert type_ not in found["types"]
            continue
        right = len(ours & theirs)
        here = (
            found["types"][type_]
            if type_
            else {k: found[k] for k in ("precision", "recall", "f1", "support")}
        )
        assert here == figures(
            right / len(theirs) if theirs else 0,
            right / len(ours) if ours else 0,
            2 * right / (len(ours) + len(theirs)) if ours or theirs else 0,
            len(ours),
        )


def by_seqeval(gold, predicted):
    """The reference: seqeval in strict mode."""
    report = classification_report(
        gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    micro = report.pop("micro avg")
    types = {name: row for name, row in report.items() if not name.endswith(" avg")}
    columns = ("precision", "recall", "f1-score", "support")
    overall, *rows = (
        figures(*(float(row[c]) for c in columns)) for row in (micro, *types.values())
    )
    return overall, dict(zip(types, rows, strict=True))


@st.composite
def any_tags(draw):
    """Gold and predicted tags of some sentences, with stray I- tags and up to twelve types."""
    tags = st.sampled_from(
        iob2_tags(draw(st.lists(st.sampled_from(MANY), min_size=1, unique=True)))
    )
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    return tuple([draw(st.lists(tags, min_size=n, max_size=n)) for n in lengths] for _ in range(2))


@given(any_tags() | tag_rows())
@settings(deadline=None)
@example(([["O", "O"]], [["O", "O"]]))
@example(([["B-PER", "O"]], [["O", "O"]]))
@example(([["O", "O"]], [["O", "B-PER"]]))
@example(([["B-PER", "I-LOC", "I-PER"]], [["I-PER", "I-PER", "B-LOC"]]))
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_the_same_as_seqeval(rows):
    found = strict_scores(*rows)
    overall, types = by_seqeval(*rows)
    assert found.pop("types") == types
    assert found == overall


def test_predict_and_score_whole_sentences():
    """A model that knows the label by the token's number, over two windows of one sentence."""
    b, i, o = TAGS.index("B-LOC"), TAGS.index("I-LOC"), 0
    split = Aligned(
        sentence=[0, 0, 1],
        cells=[["a", "b"], ["c", "d"], ["e"]],
        input_ids=[np.array(ids) for ids in ([8, b, i, i, 9], [8, i, i, o, 9], [8, b, 9])],
        labels=[
            np.array(labels, dtype=np.int8)
            for labels in (
                [IGNORED, b, i, IGNORED, IGNORED],
                [IGNORED, IGNORED, i, o, IGNORED],
                [IGNORED, b, IGNORED],
            )
        ],
    )
    done = []
    logits = np.eye(10, len(TAGS), dtype=np.float32) * 9
    forward, decoder = lambda ids, _: logits[ids], Decoder(TAGS)
    log_probabilities, labels = predict(split, forward, decoder, 12, done.append)
    assert [row.tolist() for row in labels] == [[b, i, i, o], [b]]
    assert [rows.shape for rows in log_probabilities] == [(4, len(TAGS)), (1, len(TAGS))]
    assert sum(done) == 3
    assert score(split, labels, TAGS)["f1"] == 1
    assert score(split, labels, TAGS)["types"]["LOC"]["support"] == 2
    assert score(split, [np.zeros_like(row) for row in labels], TAGS)["f1"] == 0
