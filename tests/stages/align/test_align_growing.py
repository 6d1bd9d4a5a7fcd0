"""Files of a growing source add to train, and change neither dev nor test."""

import json

import pytest

from tests.stages.tiny import FILLER, align_text, bio, tagged, write_encoder

NEW = [tagged("张三在北京", (0, 2, "PER"), (3, 5, "LOC")), tagged("李四", (0, 2, "PER"))]
JSONL = '{"text": "在北京大学", "label": [[1, 5, "ORG"]], "from": "晚报"}\n'


@pytest.fixture
def aligned(tmp_path):
    encoder = write_encoder(tmp_path / "tiny" / "bert")
    train = [tagged(f"{number:03}") for number in range(100)]

    def aligned(*added, **changes):
        folder = tmp_path / "data/corpus/growing"
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for number, (name, text) in enumerate(added):
            files.append({"name": name, "bytes": 1, "sha256": f"{number:064}"})
            (folder / f"{number:064}.{name.split('.')[1]}").write_text(text, encoding="utf-8")
        (folder.parent / "source.json").write_text(json.dumps({"growing": files}))
        return align_text(tmp_path, encoder, train=train, dev_sentences=10, **changes)

    return aligned


def texts(result, split):
    return ["".join(cells) for cells in result.splits[split].sentence_cells()]


def test_they_add_to_train_in_the_format_of_their_ending(aligned):
    before = aligned()
    after = aligned(("2026/a.conll", bio(*NEW)), ("b.jsonl", JSONL), ("c.txt", bio(NEW[1])))
    for split in ("dev", "test"):
        assert texts(after, split) == texts(before, split)
    assert texts(after, "train")[:90] == texts(before, "train")
    assert texts(after, "train")[90:] == ["张三在北京", "李四", "在北京大学", "李四"]
    assert after.sentences("train")[90:92] == NEW
    assert after.splits["train"].sentence_meta()[-2:] == [{"from": "晚报"}, {}]
    assert after.report["train"]["entities"] == {"LOC": 1, "ORG": 1, "PER": 3}
    assert not any("growing" in warning["message"] for warning in after.report["warnings"])


def test_sentences_of_dev_and_test_are_left_out_and_told(aligned, capsys):
    dev = texts(aligned(), "dev")
    leaks = [*NEW, tagged(dev[0]), tagged(dev[1]), FILLER[0]]
    result = aligned(("a.conll", bio(*NEW)), ("b.conll", bio(*leaks)), ("c.conll", bio(FILLER[1])))
    assert texts(result, "train")[90:] == ["张三在北京", "李四"] * 2
    assert texts(result, "dev") == dev
    messages = [w["message"] for w in result.report["warnings"] if "growing" in w["message"]]
    assert messages == [
        f"2 of 8 sentences of the growing source are in {split} too, so they were left out of"
        f" train; most in: {files}"
        for split, files in (("test", "b.conll 1, c.conll 1"), ("dev", "b.conll 2"))
    ]
    assert f"align: warning: {messages[0]}; delete them there" in capsys.readouterr().err


def test_what_is_repaired_there_has_the_users_name(aligned, capsys):
    aligned(("sub/a.conll", "张\tI-PER\n"))
    assert "align: train: repaired 1 x stray_i, first at sub/a.conll:1\n" in capsys.readouterr().err
