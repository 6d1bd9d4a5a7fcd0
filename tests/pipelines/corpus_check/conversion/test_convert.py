"""The command `convert`: what it prints and refuses; `check` takes what it writes."""

import json
import shutil

import pytest

from tests.conftest import ROOT

OWN = """\
download:
  train: {sources: [train.jsonl]}
  test: {sources: [train.jsonl]}
  encoder: {hub_id: null, revision: null, folder: encoder, from_scratch: true}
align: {format: jsonl, types: null, dev_sentences: 1, dev_block_sentences: 1, nested: outermost}
"""
CLUENER = '{"text": "在平安馆吃黄鱼", "label": {"SHOP": {"平安馆": [[1, 3]]}}}\n'
DOCCANO = """\
{"text": "去平安馆吃米粥", "entities": [{"label": "SHOP", "start_offset": 1, "end_offset": 4}],
 "relations": [{"id": 1, "from_id": 1, "to_id": 1, "type": "is"}]}
""".replace("\n ", " ")
STUDIO = """\
[{"id": 1, "data": {"text": "来平安馆"}, "annotations": [{"result": [
  {"type": "labels", "value": {"start": 1, "end": 4, "text": "平安馆", "labels": ["SHOP"]}},
  {"type": "labels", "value": {"start": 1, "end": 3, "text": "平安", "labels": ["NAME"]}}]}]}]
"""


@pytest.fixture
def exports(tmp_path, monkeypatch):
    """An export of each tool, in a project."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "samples/encoder", tmp_path / "encoder")
    (tmp_path / "brat").mkdir()
    files = {
        "brat/a.txt": "我在平安馆。\n没有\n",
        "brat/a.ann": "T1\tSHOP 2 5\t平安馆\n",
        "cluener.json": CLUENER,
        "doccano.jsonl": DOCCANO,
        "studio.json": STUDIO,
        "own.yaml": OWN,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_takes_what_it_wrote(exports, command):
    tools = ["brat", "cluener.json", "doccano.jsonl", "studio.json"]
    code, out, err = command("convert", *tools, "-o", "train.jsonl")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "brat: brat",
        "cluener.json: cluener",
        "doccano.jsonl: doccano",
        "studio.json: label-studio",
        "Wrote train.jsonl: 5 texts, 5 entities (NAME 1, SHOP 4)",
        "Left out: relations 1",
        "1 entities overlap others, and a character has one tag: choose which stay by align.nested:"
        " outermost or innermost",
        "Name train.jsonl as a source in your overlay, with align: {format: jsonl, types: null};"
        " then: python -m pipelines check --params OVERLAY",
    ]
    found = json.loads(command("check", "--params", "own.yaml", "--write", "--json")[1])
    assert found["errors"] == []
    assert found["repaired"]["train"] == {"nested": 1}
    assert found["sentences"][0] == "我在[平安馆 SHOP]。"
    assert any("1 entities of train overlap one" in w["message"] for w in found["warnings"])


def test_as_json(exports, command):
    code, out, _ = command("convert", "studio.json", "--output", "a.jsonl", "--json")
    assert (code, json.loads(out)) == (
        0,
        {
            "exit_code": 0,
            "out": "a.jsonl",
            "tools": {"studio.json": "label-studio"},
            "texts": 1,
            "entities": {"NAME": 1, "SHOP": 1},
            "left_out": {},
            "overlapping": 1,
        },
    )


def task(**value):
    result = {"type": value.pop("type", "labels"), "value": {"start": 0, "end": 1} | value}
    annotations = [{"result": [result]}]
    return json.dumps([{"id": 4, "data": {"text": "京"}, "annotations": annotations}])


LISTS = '{{"text": "京", "label": [[0, 1, "{}"]]}}'
REFUSED = {
    "no file": ({}, "a.json is not there"),
    "not JSON": ({"a.json": "京\tO\n"}, "a.json:1: not JSON (Expecting value"),
    "no object": ({"a.json": "3\n"}, "a.json:1: 3 is not a JSON object"),
    "not UTF-8": ({"a.json": b"{\xff"}, "a.json:1: not UTF-8 (byte 0xff); convert the file"),
    "no tool's": ({"a.json": '{"text": "a"}'}, "a.json is no export that is known: name its tool"),
    "an empty file": ({"a.jsonl": ""}, "a.jsonl is no export that is known"),
    "its own output": ({"out.jsonl": LISTS}, "out.jsonl is the export itself: name another file"),
    "half a pair": (
        {"a.jsonl": '{"text": "\\ud83d", "label": []}'},
        "a.jsonl:1: half of a surrogate pair; correct the text",
    ),
    "a name with blanks": (
        {"a.jsonl": LISTS.format("Work Of Art")},
        "a.jsonl:1: the entity type 'Work Of Art' is not letters, digits, _ . / : and - alone, the"
        " first two of them letters, digits or _; rename it: --rename 'Work Of Art=NEW_NAME'",
    ),
    "brat, no annotations": (
        {"a.txt": "京"},
        "a.txt has no a.ann beside it; for a text without an entity that is an empty .ann",
    ),
    "brat, no text": ({"a.ann": ""}, "a.ann has no a.txt beside it"),
    "brat, discontinuous": (
        {"a.txt": "南北京", "a.ann": "\nT1\tLOC 0 1;2 3\t南 京\n"},
        "a.ann:2: the LOC '南 ... 京' is discontinuous, but an entity here is one span; name"
        " --discontinuous cover (from its first to its last character: '南北京') or drop",
    ),
    "brat, another text": (
        {"a.txt": "南北京", "a.ann": "T1\tLOC 1 2\t京\n"},
        "a.ann: [[1, 2]] is '北' in the text, but the export quotes '京'; correct the offsets, or",
    ),
    "brat, another line": (
        {"a.txt": "京", "a.ann": "T1 LOC 0 1 京\n"},
        "a.ann:1: 'T1 LOC 0 1 京' is no annotation of brat's",
    ),
    "cluener, without labels": (
        {"a.json": f'{CLUENER}{{"id": 1, "text": "京"}}'},
        "a.json:2: no object under the key 'label': CLUENER's test.json has no labels",
    ),
    "cluener, another form": (
        {"a.json": '{"text": "京", "label": {"LOC": [[0, 0]]}}'},
        "a.json:1: label 'LOC' is not of the form {TEXT: [[FIRST, LAST], ...]}",
    ),
    "cluener, exclusive ends": (
        {"a.json": '{"text": "北京市", "label": {"LOC": {"北京": [[0, 2]]}}}'},
        "a.json:1: [[0, 3]] is '北京市' in the text, but the export quotes '北京'",
    ),
    "doccano, a number": (
        {"a.jsonl": '{"text": "京", "entities": [{"start_offset":0,"end_offset":1,"label":3}]}'},
        "a.jsonl:1: label 3 has no name in this export; name a file with it by --labels: {\"3\":",
    ),
    "doccano, of documents": (
        {"a.jsonl": '{"text": "京", "label": ["news"]}'},
        'a.jsonl:1: "news" is neither [start, end, type] nor an object with start_offset',
    ),
    "doccano, past the end": (
        {"a.jsonl": '{"text": "京", "label": [[0, 2, "LOC"]]}'},
        "a.jsonl:1: [0, 2] is not a part of the text, whose length is 1",
    ),
    "cluener, a fraction": (
        {"a.json": '{"text": "京", "label": {"LOC": {"京": [[0.5, 0]]}}}'},
        "a.json:1: label 'LOC' is not of the form {TEXT: [[FIRST, LAST], ...]}",
    ),
    "doccano, another form": (
        {"a.jsonl": '{"text": "京", "label": [], "relations": 3}'},
        "a.jsonl:1: relations is not a list of objects: 3",
    ),
    "label studio, ids": (
        {"a.json": '[{"data": {"text": "京"}, "annotations": [3]}]'},
        "a.json: record 0: annotations is not a list of objects: [3]",
    ),
    "label studio, another form": (
        {"a.json": '[{"data": {"text": "京"}, "annotations": [{"result": {"x": 1}}]}]'},
        'a.json: record 0: result is not a list of objects: {"x": 1}',
    ),
    "label studio, HTML": (
        {"a.json": task(type="hypertextlabels")},
        "a.json: record 0 (task 4): it labels HTML, whose offsets are not those of a text",
    ),
    "label studio, audio": (
        {"a.json": task(start=0.5, labels=["A"])},
        'a.json: record 0 (task 4): {"start": 0.5, "end": 1, "labels": ["A"]} has no numbers start',
    ),
    "label studio, two minds": (
        {"a.json": json.dumps([{"data": {"text": "京"}, "annotations": [{"result": []}, {
            "result": [{"type": "labels", "value": {"start": 0, "end": 1, "labels": ["A"]}}]}]}])},
        "a.json: record 0: 2 annotations differ; mark one of them as ground truth in Label Studio",
    ),
    "label studio, which text": (
        {"a.json": json.dumps([{"data": {"a": "京", "b": "沪"}, "annotations": [{"result": []}]}])},
        "a.json: record 0: no text under the key 'text', but under a, b; name it by --text",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path, monkeypatch, command, files, message):
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, out, err = command("convert", next(iter(files), "a.json"), "-o", "out.jsonl")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(message)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_renaming_what_there_is_not(exports, command):
    words = ["convert", "cluener.json", "-o", "a.jsonl", "--rename"]
    assert command(*words, "PER=X")[::2] == (
        1,
        "--rename PER: no entity has that type; there are SHOP\n",
    )
    assert command(*words, "PER")[2].startswith("Invalid value for --rename: PER is not OLD=NEW.")
    assert not (exports / "a.jsonl").exists()


def test_names_of_numbers(exports, command):
    (exports / "n.jsonl").write_text(
        '{"text": "京", "annotations": [{"label": 3, "start_offset": 0, "end_offset": 1}]}'
    )
    for names in ('{"3": "LOC"}', '[{"id": 3, "text": "LOC"}]'):
        (exports / "names.json").write_text(names)
        code, out, _ = command("convert", "n.jsonl", "-o", "a.jsonl", "--labels", "names.json")
        assert (code, "1 entities (LOC 1)" in out) == (0, True)
    (exports / "names.json").write_text("[3]")
    err = command("convert", "n.jsonl", "-o", "a.jsonl", "--labels", "names.json")[2]
    assert err.startswith('names.json is neither {"1": "PER"} nor [{"id": 1, "text": "PER"}]')
