import re

import pytest

from stages.contract.errors import StageError
from stages.params.evaluate import Slice
from tests.invented import text_of
from tests.stages.evaluate.conftest import counts, figures, jsonl


def test_each_slice_has_scores_of_its_own(tiny, gold, found):
    texts = [text_of(sentence) for sentence in tiny.test]
    picked = {
        "long": ([0, 1], lambda _: True),
        "stars": ([n for n, text in enumerate(texts) if set("☆★") & set(text)], lambda _: True),
        "places_near_digits": (
            [n for n, t in enumerate(texts) if re.search("[0-9]", t) and len(t) < 600],
            lambda span: span[2] == "LOC",
        ),
    }
    expected = {
        name: figures(*counts([gold[n] for n in rows], [found[n] for n in rows], keep))
        | {"sentences": len(rows)}
        for name, (rows, keep) in picked.items()
    }
    assert tiny.json("metrics.json")["slices"] == expected
    assert all(row["support"] > 5 for row in expected.values())
    assert jsonl(tiny.report("slices.jsonl").read_bytes()) == [
        {"slice": name, "type": "LOC" if name.startswith("places") else None, "sentences": rows}
        for name, (rows, _) in sorted(picked.items())
    ]


def test_a_slice_that_asks_for_what_is_not_there(scored):
    for asked, said in (
        ({"type": "GPE"}, r"slices\.x\.type is GPE, but the labels have only LOC, ORG, PER;"),
        ({"meta": {"year": "1998"}}, r"slices\.x\.meta names year, but the test split has no "),
    ):
        with pytest.raises(StageError, match=said):
            scored(slices={"x": Slice.model_validate(asked)})
