"""Local files that changed under their hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.corpus_check.local_sources import require_unchanged
from pipelines.errors import PipelineError
from stages.contract.hashing import digests
from stages.params.download import Encoder, Source
from tests.pipelines.standin import clean_environment
from tests.support.clone import clone
from tests.tiny import write_params


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Train by an absolute path, test by a relative one with a variable, an encoder's folder."""
    monkeypatch.setenv("NER_CORPUS", "corpus")
    for name in ("corpus/train.txt", "corpus/test.txt", "encoder/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    def source(address, name):
        found = digests(tmp_path / "corpus" / name)
        return Source(sources=["https://example.org/x", address], **found)

    sha256 = digests(tmp_path / "encoder/config.json")["sha256"]
    changes = {
        "train": source((tmp_path / "corpus/train.txt").as_uri(), "train.txt"),
        "test": source("$NER_CORPUS/test.txt", "test.txt"),
        "encoder": Encoder(
            hub_id=None, revision=None, folder="encoder", sha256={"config.json": sha256},
            from_scratch=True,
        ),
    }  # fmt: skip
    return write_params(tmp_path).download.model_copy(update=changes)


def test_what_is_as_expected_or_elsewhere_passes(tmp_path, params, monkeypatch):
    require_unchanged(tmp_path, params)
    (tmp_path / "corpus/train.txt").unlink()
    monkeypatch.delenv("NER_CORPUS")
    require_unchanged(tmp_path, params)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("corpus/train.txt", "train"),
        ("corpus/test.txt", "test"),
        ("encoder/config.json", "encoder"),
    ],
)
@pytest.mark.parametrize("content", ["longer than before, and other", None])
def test_a_changed_file_is_named(tmp_path, params, name, key, content):
    (tmp_path / name).write_text(content or name.upper())
    check = (
        "bytes" if content and key != "encoder" else "git_blob" if key != "encoder" else "sha256"
    )
    with pytest.raises(
        PipelineError, match=rf"^{tmp_path / name} has {check} .*, download\.{key} ex"
    ):
        require_unchanged(tmp_path, params)


def test_an_unpinned_one_may_change(tmp_path, params):
    free = params.train.model_copy(update={"bytes": None, "git_blob": None, "sha256": "unpinned"})
    (tmp_path / "corpus/train.txt").write_text("another")
    require_unchanged(tmp_path, params.model_copy(update={"train": free}))


def test_dvc_repro_refuses_one_below_inputs(tmp_path):
    project, copied = clone(tmp_path / "project"), "inputs/train.txt"
    corpus = project / copied
    corpus.write_bytes((project / "samples/corpus/train.txt").read_bytes())
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["download"]["train"] |= {"sources": [copied], **digests(corpus)}
    (project / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True))

    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def repro():
        return subprocess.run(
            [sys.executable, "-m", "dvc", "repro", "download"],
            cwd=project, env=clean_environment() | {"PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert repro().returncode == 0
    corpus.write_bytes(corpus.read_bytes()[:-1])
    refused = repro()
    assert refused.returncode
    assert f"{copied}: " in refused.stderr
    assert "bytes" in refused.stderr
