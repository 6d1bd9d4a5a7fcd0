"""How a corpus file is called in messages."""

import json

import pytest
import yaml

from stages.contract.errors import StageError
from stages.corpus.origins import named, origins, split_file
from tests.stage_process import start
from tests.stages.align.test_align_command import TRAIN
from tests.stages.tiny import PARAMS, align_text, write_encoder

PINNED = {"bytes": None, "git_blob": None, "sha256": "0" * 64}
NAMES = {
    "a path": ({"sources": ["corpus/a.txt"]}, "corpus/a.txt"),
    "a variable": ({"sources": ["$NER_DATA/a.txt"]}, "$NER_DATA/a.txt"),
    "file:": ({"sources": ["file:///data/a.txt"]}, "file:///data/a.txt"),
    "a mirror's copy": ({"sources": ["https://example.org/b", "corpus/a.txt"]}, "corpus/a.txt"),
    "elsewhere": ({"sources": ["https://example.org/b"]}, None),
    "unpinned": ({"sources": ["a.txt"], "sha256": "unpinned"}, "a.txt"),
    "one of several": ({"sources": ["https://example.org/b", "a"], "sha256": "unpinned"}, None),
    "nonsense": ({"sources": 3}, None),
}


@pytest.mark.parametrize(("source", "name"), NAMES.values(), ids=NAMES)
def test_names(tmp_path, source, name):
    (tmp_path / "train.txt").touch()
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"download": {"train": PINNED | source, "test": source}}))
    assert origins(tmp_path, params) == ({str(tmp_path / "train.txt"): name} if name else {})


def test_a_split_is_found_by_any_ending_but_not_twice(tmp_path):
    assert split_file(tmp_path, "train") == tmp_path / "train.txt"
    (tmp_path / "training.txt").touch()
    (tmp_path / "train.jsonl").touch()
    assert split_file(tmp_path, "train") == tmp_path / "train.jsonl"
    (tmp_path / "train.txt").touch()
    with pytest.raises(StageError, match=r" has train\.jsonl and train\.txt: delete all but that"):
        split_file(tmp_path, "train")


def test_no_params(tmp_path):
    assert origins(tmp_path, tmp_path / "none.yaml") == {}


def test_named():
    assert named("data/corpus/train.txt:7: no", {"data/corpus/train.txt": "a.txt"}) == "a.txt:7: no"


def test_align_prints_the_users_own_name_and_writes_none(tmp_path):
    """An out has only what its inputs determine, and the sources are no input of align."""
    encoder = write_encoder(tmp_path / "data/encoder")
    align_text(tmp_path, encoder, train=TRAIN)
    download = {"train": PINNED | {"sources": ["corpus/own.txt"]}}
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"align": PARAMS, "download": download}))
    train = tmp_path / "data/corpus/train.txt"
    train.write_text("京\tI-LOC\n\n" + train.read_text("utf-8"), encoding="utf-8")
    with start("align", tmp_path) as process:
        err = process.communicate()[1]
    assert err.startswith("align: train: repaired 1 x stray_i, first at corpus/own.txt:1\n")
    report = json.loads((tmp_path / "reports/align.json").read_text("utf-8"))
    assert report["repaired_first"]["train"] == {"stray_i": ["data/corpus/train.txt:1"]}
    train.write_text("京\tB-LOC\n京\tB-WHAT\n", encoding="utf-8")
    with start("align", tmp_path) as process:
        assert process.communicate()[1].startswith("align: corpus/own.txt:2: unknown tag 'B-WHAT'")
