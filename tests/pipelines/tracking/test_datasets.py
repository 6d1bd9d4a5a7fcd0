"""What is logged of the data."""

import json
from pathlib import Path

import mlflow
import pytest
import yaml

from pipelines.tracking import datasets

MSRA, ALIGNED = "0" * 32 + ".dir", "1" * 32 + ".dir"
CONTENT = {"name": "MSRA", "licence": "research", "train": {"sha256": "a" * 64}}
CONTENT |= {"test": {"sha256": "b" * 64}}
WEB = "https://example.org/train.txt"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    outs = [{"path": "data/corpus", "md5": MSRA}, {"path": "data/encoder", "md5": "2" * 32}]
    later = {
        "deps": [{"path": "data/corpus/train.txt"}],
        "outs": [{"path": "data/aligned", "md5": ALIGNED}],
    }
    lock = {"stages": {"a": {"deps": [{"path": "code.py"}], "outs": outs}, "b": later}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    sources = {"train": {"sources": ["copy.txt", WEB]}, "dev": None}
    sources["test"] = {"sources": ["test.txt"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"download": sources}))
    for folder in ("corpus", "aligned"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "aligned" / "dev.parquet").touch()
    return tmp_path


def test_each_split_has_the_name_of_the_corpus_and_a_source(workspace: Path) -> None:
    text = json.dumps(CONTENT)
    (workspace / "data" / "corpus" / "source.json").write_text(text)
    found = datasets.inputs(workspace, "c0ffee")
    dvc = {"commit": "c0ffee", "path": "data/corpus/test.txt", "md5": MSRA}
    dev = {"commit": "c0ffee", "path": "data/aligned/dev.parquet", "md5": ALIGNED}
    encoder = {"commit": "c0ffee", "path": "data/encoder", "md5": "2" * 32}
    assert [
        (one.tags[0].value, one.dataset.name, one.dataset.digest, json.loads(one.dataset.source))
        for one in found
    ] == [
        ("train", "MSRA", "a" * 36, {"url": WEB}),
        ("dev", "MSRA", ALIGNED, dev),
        ("test", "MSRA", "b" * 36, dvc),
        ("source", "data/encoder", "2" * 32, encoder),
    ]
    assert [one.dataset.profile for one in found] == [text, None, text, None]
    assert mlflow.data.get_source(found[0].dataset).url == WEB


def test_plain_text_is_a_dataset_too(workspace: Path) -> None:
    params = yaml.safe_load((workspace / "params.yaml").read_text())
    params["download"]["text"] = [{"sources": ["news.txt"]}, {"sources": [WEB]}]
    (workspace / "params.yaml").write_text(yaml.safe_dump(params))
    content = CONTENT | {f"text.{n}": {"sha256": str(n) * 64} for n in range(2)}
    (workspace / "data" / "corpus" / "source.json").write_text(json.dumps(content))
    found = {one.tags[0].value: one.dataset for one in datasets.inputs(workspace, "c0ffee")}
    dvc = {"commit": "c0ffee", "path": "data/corpus/text.0.txt", "md5": MSRA}
    assert (found["text.0"].digest, json.loads(found["text.0"].source)) == ("0" * 36, dvc)
    assert (found["text.1"].digest, json.loads(found["text.1"].source)) == ("1" * 36, {"url": WEB})


def test_other_data_from_outside_is_one_dataset(workspace: Path) -> None:
    (workspace / "data" / "corpus" / "source.json").write_text('{"licence": "research"}')
    found = datasets.inputs(workspace, None)[0].dataset
    assert (found.name, found.digest) == ("data/corpus", MSRA)
    assert found.profile == '{"licence": "research"}'
