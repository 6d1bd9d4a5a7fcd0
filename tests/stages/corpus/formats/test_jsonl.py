"""Spans in characters, as doccano exports them."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corpus.formats.lines import CONVERT
from stages.text.cells import offsets
from stages.text.sentence import Sentence
from tests.stages.corpus.formats.conftest import read
from tests.stages.corpus.spans import TYPES, spans_in

DOCCANO = """\
{"id": 7, "text": "安娜搬到了新月港。", "label": [[5, 8, "LOC"], [0, 2, "PER"]], "Comments": []}
{"id": 8, "text": "没有消息。", "label": [], "source": "晚报", "checked": true}
"""


def test_doccano(tmp_path):
    corpus = read(tmp_path / "a", DOCCANO, repair=False, format="jsonl")
    assert corpus.sentences == [
        Sentence(
            "安娜搬到了新月港。",
            ("B-PER", "I-PER", "O", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O"),
            '{"id": 7}',
        ),
        Sentence("没有消息。", ("O",) * 5, '{"id": 8, "source": "晚报", "checked": true}'),
    ]
    assert corpus.repairs.counts == {}


def test_what_is_repaired(tmp_path):
    text = "\ufeff" + "\r\n".join(
        [
            '{"text": "Ann met Bobby. ", "label": [[0, 4, "PER"], [8, 11, "PER"]]}',
            '{"text": " ", "label": []}',
            "",
        ]
    )
    corpus = read(tmp_path / "a", text, format="jsonl", cells="words")
    assert corpus.repairs.counts == {"bom": 1, "crlf": 2, "space": 1, "cut_word": 1, "empty": 1}
    assert corpus.sentences == [
        Sentence(("Ann", " met", " Bob", "by", "."), ("B-PER", "O", "B-PER", "O", "O"))
    ]


@given(data=st.data(), cells=st.sampled_from(["words", "characters"]))
@settings(deadline=None, max_examples=150)
def test_there_and_back(tmp_path_factory, data, cells):
    """In words, entities may begin and end inside of one, and every one is kept."""
    text = data.draw(st.text(st.sampled_from("ab. \n\u3000é京😀\u200b"), min_size=1, max_size=20))
    edges = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [
        [start, end, data.draw(st.sampled_from(TYPES))]
        for start, end in pairwise(edges)
        if (text[start:end].strip() if cells == "words" else True) and data.draw(st.booleans())
    ]
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    record = json.dumps({"text": text, "label": spans[::-1]}, ensure_ascii=False)
    found = read(path, record + '\n{"text": "a", "label": []}', format="jsonl", cells=cells)
    if len(found.sentences) == 1:
        assert cells == "words"
        assert not text.strip()
        return
    sentence = found.sentences[0]
    starts, stops = offsets(sentence.cells)
    assert [
        [text[starts[start] : stops[stop - 1]], type_]
        for start, stop, type_ in spans_in(sentence.tags)
    ] == [
        [text[start:end].strip() if cells == "words" else text[start:end], type_]
        for start, end, type_ in spans
    ]


RECORD = '{{"text": "Ann met Bobby. ", "label": [{}]}}'
A_SPAN = "is not [start, end, type] with 0 <= start < end <= 15, the length of the text; "
# The spans of a text of 15 characters, and the error in the third line.
REFUSED = {
    "overlap": ('[0, 3, "A"], [2, 5, "B"]', "the spans [0, 3, 'A'] and [2, 5, 'B'] overlap"),
    "nested": ('[2, 3, "A"], [0, 7, "B"]', "the spans [0, 7, 'B'] and [2, 3, 'A'] overlap"),
    "twice": ('[0, 3, "A"], [0, 3, "A"]', "the spans [0, 3, 'A'] and [0, 3, 'A'] overlap"),
    "past the end": ('[0, 16, "A"]', f'span [0, 16, "A"] {A_SPAN}'),
    "nothing in it": ('[3, 3, "A"]', f'span [3, 3, "A"] {A_SPAN}'),
    "text offsets": ('["0", 3, "A"]', f'span ["0", 3, "A"] {A_SPAN}'),
    "no list": ('{"start": 0}', f'span {{"start": 0}} {A_SPAN}'),
    "a type with a space": ('[0, 3, "work of art"]', "the entity type 'work of art' is not l"),
    "a row's name": (
        '[0, 3, "none"]',
        "the reports have a row called 'none'; rename this entity t",
    ),
    "space alone": ('[3, 4, "A"]', "the span [3, 4, 'A'] is white space alone; remove it"),
    "space": ('[0, 4, "A"]', "the entity 'Ann ' at 0 begins or ends with white space; correct"),
    "inside": ('[8, 11, "A"]', "the entity 'Bob' at 8 begins or ends inside a word; correct"),
}


@pytest.mark.parametrize(("spans", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_file_and_line(refused, spans, message):
    text = f"\n{RECORD.format('')}\n{RECORD.format(spans)}\n"
    assert refused(text, format="jsonl", cells="words").startswith(f"test.txt:3: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\tO", "not JSON (Expecting value: line 1 column 1 (char 0)); write one object per line"),
        ('{"text": "a\\ud83d", "label": []}', "half of a surrogate pair, which is not a character"),
        ('"[]"', "no text under the key 'text'; correct it or align."),
        (
            '{"data": {"text": "a"}, "annotations": []}',  # Label Studio
            f"no text under the key 'text'; correct it or align.jsonl.text; {CONVERT}",
        ),
        (
            '{"text": "a", "label": {"LOC": {"a": [[0, 0]]}}}',  # CLUENER
            f"no list under the key 'label'; correct it or align.jsonl.spans; {CONVERT}",
        ),
        (
            '{"text": "a", "label": [{"start_offset": 0}]}',  # doccano
            'span {"start_offset": 0} is not [start, end, type] with 0 <= start < end <= 1, the'
            f" length of the text; correct it; {CONVERT}",
        ),
        ('{"text": "a", "label": [[0, 1, "X"]]}', "unknown type 'X'; align.types in params.yaml"),
    ],
)
def test_another_record(refused, line, message):
    assert refused(line, format="jsonl", types=["A"]).startswith(f"test.txt:1: {message}")


@pytest.mark.parametrize("indent", [None, 2])
def test_one_array(tmp_path, indent):
    """As `json.dump` and many tools write it, on one line or on many."""
    records = [json.loads(line) for line in DOCCANO.splitlines()]
    array = json.dumps(records, ensure_ascii=False, indent=indent)
    corpus = read(tmp_path / "a", f"\ufeff\n{array}\n", repair=False, format="jsonl")
    assert corpus.sentences == read(tmp_path / "b", DOCCANO, format="jsonl").sentences
    assert corpus.repairs.counts == {"bom": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"text": "a", "label": []}, {}]', ": record 1: no text under the key 'text'; correct"),
        ('["a\\ud83d"]', ": record 0: half of a surrogate pair, which is not a character"),
        ('[{"text": "a"}\n', " begins with [, but is not one JSON array (Expecting ',' delimiter"),
        ("[1]\n[2]", " begins with [, but is not one JSON array (Extra data: line 2 column 1"),
        ("[" * 10**5, " begins with [, but is not one JSON array ("),
        ("[]", " has no sentence; check that it is the right file"),
    ],
)
def test_a_wrong_array(refused, text, message):
    assert refused(text, format="jsonl").startswith(f"test.txt{message}")


def test_other_keys(tmp_path):
    line = '{"body": "ab", "entities": [[0, 1, "A"]], "text": "a title"}'
    keys = {"text": "body", "spans": "entities"}
    [sentence] = read(tmp_path / "a", line, format="jsonl", jsonl=keys).sentences
    assert sentence == Sentence("ab", ("B-A", "O"), '{"text": "a title"}')
