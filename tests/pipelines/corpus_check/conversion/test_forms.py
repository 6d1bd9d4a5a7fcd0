"""Each tool's form of export, as the tool writes it, gives its texts and entities."""

import json

import pytest

from pipelines.corpus_check.conversion.convert import convert, guessed
from pipelines.corpus_check.conversion.source import Reading
from pipelines.errors import PipelineError
from tests.stages.corpus.formats.conftest import align_params, read
from tests.stages.corpus.spans import spans_in


@pytest.fixture
def converted(tmp_path):
    """Converts these files, the first of them or their folder; gives rows and report."""

    def converted(files, tool=None, renamed=None, **reading):
        for name, content in files.items():
            path = tmp_path / "export" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            path.write_bytes(text.encode())
        export = tmp_path / "export" / ("" if len(files) > 1 else next(iter(files)))
        out = tmp_path / "out.jsonl"
        report = convert([export], out, tool, Reading(**reading), renamed or {})
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        assert report.texts == len(rows)
        assert report.tools == {str(export): guessed(export)}
        return rows, report

    return converted


def entities(row):
    return [(row["text"][start:end], type_) for start, end, type_ in row["label"]]


ANN = "T1\tPER 0 2\t安娜\nT2\tLOC 5 8\t新月港\n"
LINE = {
    "text": "安娜搬到了新月港。",
    "label": {"PER": {"安娜": [[0, 1]]}, "LOC": {"新月港": [[5, 7]]}},
}
DOCCANO = [
    {"id": 1662, "label": "PER", "start_offset": 0, "end_offset": 2},
    {"id": 1663, "label": "LOC", "start_offset": 5, "end_offset": 8},
]
NUMBERED = [{**each, "label": number, "user": 1} for number, each in enumerate(DOCCANO, 10)]
VALUES = [
    {"start": 0, "end": 2, "text": "安娜", "labels": ["PER"]},
    {"start": 5, "end": 8, "text": "新月港", "labels": ["LOC"]},
]
RESULT = [
    {"value": value, "id": "a", "from_name": "label", "to_name": "text", "type": "labels"}
    for value in VALUES
]
TASK = {"id": 7, "annotations": [{"id": 1, "result": RESULT, "was_cancelled": False}]}
TEXT = LINE["text"]
FORMS = {
    "brat": ({"a.txt": TEXT, "a.ann": ANN}, {}),
    "brat, in a folder": ({"news/a.txt": TEXT, "news/a.ann": ANN}, {}),
    "cluener": ({"train.json": LINE}, {}),
    "doccano": ({"all.jsonl": {"text": TEXT, "label": [[0, 2, "PER"], [5, 8, "LOC"]]}}, {}),
    "doccano 1.5": ({"all.jsonl": {"data": TEXT, "label": [[0, 2, "PER"], [5, 8, "LOC"]]}}, {}),
    "doccano, relations": (
        {"all.jsonl": {"text": TEXT, "entities": DOCCANO, "relations": [], "Comments": []}},
        {},
    ),
    "doccano 0, text labels": (
        {"a.json1": {"text": TEXT, "labels": [[0, 2, "PER"], [5, 8, "LOC"]], "meta": {}}},
        {},
    ),
    "doccano 0, numbers": (
        {"a.json": {"text": TEXT, "annotations": NUMBERED, "meta": {}}},
        {"labels": {10: "PER", 11: "LOC"}},
    ),
    "label studio": ({"p.json": [TASK | {"data": {"text": TEXT}, "predictions": []}]}, {}),
    "label studio, another key": ({"p.json": [TASK | {"data": {"body": TEXT, "url": 3}}]}, {}),
    "label studio before 1": (
        {"p.json": [{"id": 7, "completions": TASK["annotations"], "data": {"text": TEXT}}]},
        {},
    ),
    "label studio, min": (
        {"p.json": [{"id": 7, "text": TEXT, "ner": VALUES, "annotator": 1, "lead_time": 2.5}]},
        {},
    ),
}


@pytest.mark.parametrize(("files", "reading"), FORMS.values(), ids=FORMS)
def test_a_form(converted, tmp_path, files, reading):
    [row], report = converted(files, **reading)
    assert row["text"] == TEXT
    assert entities(row) == [("安娜", "PER"), ("新月港", "LOC")]
    assert report.entities == {"PER": 1, "LOC": 1}
    assert (report.left_out, report.overlapping) == ({}, 0)
    written = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    [sentence] = read(tmp_path / "train", written, repair=False, format="jsonl").sentences
    assert spans_in(sentence.tags) == [(0, 2, "PER"), (5, 8, "LOC")]
    assert align_params().nested == "refuse"


def test_metadata(converted):
    rows, _ = converted({"p.json": [TASK | {"data": {"text": TEXT, "label": "x", "source": "a"}}]})
    assert {k: v for k, v in rows[0].items() if k not in ("text", "label")} == {
        "source": "a",
        "id": 7,
    }
    record = {"id": 3, "text": "a", "label": [], "meta": {"paper": "b"}, "Comments": []}
    rows, _ = converted({"all.jsonl": record})
    assert rows == [{"text": "a", "label": [], "paper": "b", "id": 3}]


def studio(text, *values):
    results = [{"type": "labels", "value": value} for value in values]
    return {"p.json": [{"data": {"text": text}, "annotations": [{"result": results}]}]}


@pytest.mark.parametrize(
    ("text", "start", "end", "quote", "same"),
    [
        ("😀在京。安娜。", 4, 6, "安娜", "😀在京。安娜。"),
        ("😀在京。安娜。", 5, 7, "安娜", "😀在京。安娜。"),  # UTF-16, before 1.5
        ("一\r\n安娜\r\n", 3, 5, "安娜", "一\r\n安娜\r\n"),
        ("一\r\n安娜\r\n", 2, 4, "安娜", "一\n安娜\n"),
        ("\ufeff安娜", 0, 2, "安娜", "安娜"),
        ("一\n安\n娜", 2, 5, "安\\n娜", "一\n安\n娜"),
    ],
)
def test_offsets_are_those_that_give_what_is_quoted(converted, text, start, end, quote, same):
    value = {"start": start, "end": end, "text": quote, "labels": ["PER"]}
    [row], _ = converted(studio(text, value))
    assert row["text"] == same
    assert [text.replace("\n", "") for text, _ in entities(row)] == ["安娜"]


def test_offsets_of_which_nobody_can_know(converted):
    files = {"all.jsonl": {"text": "😀在京。安娜。", "label": [[5, 7, "PER"]]}}
    with pytest.raises(PipelineError, match=r"after '😀' at 0 depend on .*--offsets utf-16"):
        converted(files)
    [row], _ = converted(files, offsets="utf-16")
    assert entities(row) == [("安娜", "PER")]
    [row], _ = converted(files, offsets="code-points")
    assert entities(row) == [("娜。", "PER")]
    before = {"all.jsonl": {"text": "在京。安娜😀", "label": [[3, 5, "PER"]]}}
    assert entities(converted(before)[0][0]) == [("安娜", "PER")]


def test_several_labels_and_several_annotations(converted):
    value = VALUES[0] | {"labels": ["PER", "HERO"]}
    [row], report = converted(studio(TEXT, value))
    assert entities(row) == [("安娜", "HERO"), ("安娜", "PER")]
    assert report.overlapping == 1
    one, other = ({"result": [result]} for result in RESULT)
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    tasks = [
        [one, one],
        [one, other | {"ground_truth": True}],
        [one | {"was_cancelled": True}, other],
        [one | {"was_cancelled": True}],
        [{"result": [*RESULT, relation, {"type": "choices", "value": {"choices": ["x"]}}]}],
    ]
    rows, report = converted(
        {"p.json": [{"data": {"text": TEXT}, "annotations": each} for each in tasks]}
    )
    assert [[text for text, _ in entities(row)] for row in rows] == [
        ["安娜"],
        ["新月港"],
        ["新月港"],
        ["安娜", "新月港"],
    ]
    assert report.left_out == {
        "cancelled annotations": 2,
        "tasks without an annotation": 1,
        "relations": 1,
        "results of type choices": 1,
    }


def test_brat_keeps_lines_and_what_goes_over_one(converted):
    text = "安娜在\r\n新月港。\r\n\r\n无\r\n"
    ann = (
        "T1\tPER 0 2\t安娜\r\nT2\tLOC 2 3;5 7\t在 新月\r\nT3\tLOC 5 8\t新月港\r\n"
        "R1\tIn Arg1:T1 Arg2:T3\r\nA1\tSure T1\r\n#1\tAnnotatorNotes T1\tsee\r\n*\tAlias T1 T2\r\n"
    )
    rows, report = converted({"a.txt": text, "a.ann": ann, "b.txt": "二", "b.ann": ""})
    assert [row["text"] for row in rows] == ["安娜在\r\n新月港。", "无", "二"]
    assert entities(rows[0]) == [("安娜", "PER"), ("在\r\n新月", "LOC"), ("新月港", "LOC")]
    assert [row["document"] for row in rows] == ["a", "a", "b"]
    assert report.left_out == {"relations": 2, "attributes": 1, "notes": 1}
    assert report.overlapping == 1


@pytest.mark.parametrize("written", ["一\n安娜\n", "一\r\n安娜\r\n"])
@pytest.mark.parametrize("counted", [2, 3])
def test_brat_with_line_ends_that_were_changed(converted, written, counted):
    ann = f"T1\tPER {counted} {counted + 2}\t安娜\n"
    rows, _ = converted({"a.txt": written, "a.ann": ann})
    assert [row["text"] for row in rows] == ["一", "安娜"]
    assert entities(rows[1]) == [("安娜", "PER")]


def test_a_discontinuous_entity(converted):
    files = {"a.txt": "南北京", "a.ann": "T1\tLOC 0 1;2 3\t南 京\nT2\tLOC 1 3\t北京\n"}
    [row], report = converted(files, discontinuous="cover")
    assert entities(row) == [("南北京", "LOC"), ("北京", "LOC")]
    [row], report = converted(files, discontinuous="drop")
    assert entities(row) == [("北京", "LOC")]
    assert report.left_out == {"discontinuous entities": 1}


def test_types_are_renamed_left_out_and_written_once(converted):
    label = [[0, 2, "Work Of Art"], [0, 2, "person name"], [0, 2, "person name"], [5, 8, "x"]]
    renamed = {"Work Of Art": "PER", "person name": "PER", "x": ""}
    [row], report = converted({"all.jsonl": {"text": TEXT, "label": label}}, renamed=renamed)
    assert entities(row) == [("安娜", "PER")]
    assert report.left_out == {"repeated spans": 2, "entities of type x": 1}
