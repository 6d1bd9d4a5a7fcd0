import json

import pytest

from stages.text.labels import Labels, follows, iob2_tags


def test_tags():
    assert iob2_tags(["PER", "LOC"]) == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("before", ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
def test_follows(before):
    assert follows("O", before)
    assert follows("B-PER", before)
    assert follows("I-PER", before) == (before in ("B-PER", "I-PER"))


def test_a_type_that_is_the_tail_of_another():
    assert not follows("I-ORG", "B-SUBORG")
    assert not follows("I-SUBORG", "B-ORG")


def test_written_and_read(tmp_path):
    labels = Labels(["O", "B-人", "I-人"], 128, 48, 101, 102, 100)
    labels.write(tmp_path)
    assert Labels.read(tmp_path) == labels
    text = (tmp_path / "labels.json").read_text(encoding="utf-8")
    assert json.loads(text)["tags"] == labels.tags
    assert "人" in text
    assert text.endswith("}\n")
