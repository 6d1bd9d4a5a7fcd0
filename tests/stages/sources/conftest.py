"""The default sources of params.yaml, rebuilt on loopback as GitHub and the hub serve them.

Paths, revision and checks are those of params.yaml; the corpus is that of `shared`.

- GitHub does not redirect raw files of a renamed branch: https://docs.github.com/en/repositories/
  configuring-branches-and-merges-in-your-repository/managing-branches-in-your-repository/renaming-a-branch
- The hub redirects small files to a path of its own, large ones to another host:
  https://github.com/huggingface/huggingface_hub/issues/4815
- The hub's rows of MSRA are what this script made of the text, with the sizes that it noted:
  https://github.com/huggingface/datasets/tree/1.18.0/datasets/msra_ner
"""

import json
from collections import Counter

import pytest
import yaml

from stages.align import align
from stages.download import download
from stages.params.align import Align
from tests.stages.conftest import REAL
from tests.stages.sources.bert_base_chinese import write_bert_base_chinese

PARAMS = yaml.safe_load(REAL)
SOURCES = PARAMS["download"]
RAW, HUB = "https://raw.githubusercontent.com", "https://huggingface.co"
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}

# ../shared/msra/README.md
SENTENCES = {"train": 45000, "test": 3442}
ENTITIES = {
    "train": {"LOC": 36860, "ORG": 20584, "PER": 17615},
    "test": {"LOC": 2886, "ORG": 1331, "PER": 1973},
}


@pytest.fixture(scope="session")
def chinese(tmp_path_factory):
    """The files of google-bert/bert-base-chinese."""
    folder = tmp_path_factory.mktemp("bert-base-chinese")
    write_bert_base_chinese(folder)
    return folder


@pytest.fixture(scope="session")
def msra(shared):
    """The published text; that of `shared` has a tab and O where it has 0 and a tab."""
    text = (shared / "msra/msra_train_canonical.txt").read_bytes()
    test = (shared / "msra/msra_test_bio.txt").read_bytes()
    return {"train": text.replace(b"\n\tO\n", b"\n0\t\n"), "test": test}


@pytest.fixture
def brought(work, msra, mirror, chinese):
    """`brought(**changes)`: data/corpus as `download` brings it, with the sources so changed."""

    def brought(**changes):
        for split in msra:
            work.section[split] = SOURCES[split] | {
                "sources": [a.replace(RAW, mirror.url) for a in SOURCES[split]["sources"]]
            }
            work.section[split] |= changes.get(split, {})
        work.section["encoder"]["folder"] = str(chinese)
        raw = work.path / "data/corpus"
        return raw, download(work.params(), raw, work.path / "data/encoder")["files"]

    return brought


def aligned(raw, tmp_path, **changes):
    """What `align` reports, train and dev taken together."""
    report = tmp_path / "align.json"
    params = Align.model_validate(PARAMS["align"] | changes)
    align(params, raw, raw.parent / "encoder", tmp_path / "aligned", report)
    found = json.loads(report.read_text(encoding="utf-8"))
    for split in ("train", "dev", "test"):
        assert found[split]["entities_in"] == found[split]["entities_kept"]
    held = found["train"], found["dev"]
    sentences = {"train": sum(s["sentences"] for s in held), "test": found["test"]["sentences"]}
    entities = {
        "train": dict(sum((Counter(s["entities"]) for s in held), Counter())),
        "test": found["test"]["entities"],
    }
    return sentences, entities, found["repaired"]
