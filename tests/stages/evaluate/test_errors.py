import json
import shutil

from tests.invented import text_of
from tests.stages.evaluate.conftest import jsonl
from tests.tiny import write_aligned


def test_the_most_confident_errors(tiny, gold, found, scored):
    texts = [text_of(sentence) for sentence in tiny.test]
    errors = jsonl(scored(errors=9999)["errors.jsonl"])
    assert len(errors) == sum(len(g ^ f) for g, f in zip(gold, found, strict=True)) > 3
    confidences = [error["confidence"] for error in errors]
    assert confidences == sorted(confidences, reverse=True)
    assert 0 < min(confidences) < max(confidences) <= 1
    for error in errors:
        index = texts.index(error["sentence"])
        span = (error["start"], error["end"], error["type"])
        assert error["sentence"][error["start"] : error["end"]] == error["text"]
        assert (span in gold[index], span in found[index]) == (
            (True, False) if error["side"] == "gold" else (False, True)
        )
    assert jsonl(tiny.report("errors.jsonl").read_bytes()) == errors[: tiny.params.evaluate.errors]


def test_the_kinds_of_errors(tiny, gold, found, scored, tmp_path):
    # A sentence that the model gets right, of which then the gold is changed.
    index = next(
        i
        for i, sentence in enumerate(tiny.test)
        if gold[i] == found[i] and "说" in text_of(sentence) and len(sentence) < 20
    )
    text = text_of(tiny.test[index])
    [per, loc, org] = sorted(gold[index])
    cases = [
        [(*per[:2], "ORG"), loc, org],  # type
        [per, (loc[0], loc[1] + 1, "LOC"), org],  # too short
        [per, loc],  # false positive: org
        [per, loc, org, (len(text) - 2, len(text), "LOC")],  # missed: 很好
    ]
    sentences = []
    for spans in cases:
        tags = ["O"] * len(text)
        for start, end, type_ in spans:
            tags[start:end] = [f"B-{type_}", *[f"I-{type_}"] * (end - start - 1)]
        sentences.append(list(zip(text, tags, strict=True)))
    shutil.copytree(tiny.encoder, tmp_path / "data/encoder")
    write_aligned(tmp_path, tiny.params, tiny.test[2:] + tiny.test[2:], sentences)

    errors = jsonl(scored(aligned=tmp_path / "data/aligned", errors=99)["errors.jsonl"])

    def of(span):
        return {"text": text[span[0] : span[1]], "type": span[2]}

    def row(kind, side, span, against):
        given = {"kind": kind, "side": side, "start": span[0], "end": span[1], "sentence": text}
        return given | of(span) | {"against": [of(other) for other in against]}

    expected = [
        row("type", "predicted", per, [cases[0][0]]),
        row("type", "gold", cases[0][0], [per]),
        row("too_short", "predicted", loc, [cases[1][1]]),
        row("too_short", "gold", cases[1][1], [loc]),
        row("false_positive", "predicted", org, []),
        row("missed", "gold", cases[3][3], []),
    ]
    confidences = [error.pop("confidence") for error in errors]
    assert confidences == sorted(confidences, reverse=True)
    order = [json.dumps(error, sort_keys=True) for error in errors]
    assert sorted(order) == sorted(json.dumps(error, sort_keys=True) for error in expected)
