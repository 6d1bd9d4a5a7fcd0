"""`download` copies what was taken of a growing source."""

import hashlib
import json

import pytest

from stages.contract.errors import StageError
from stages.download import download
from stages.fetching.growing import write_list

TEXT = "京\tB-LOC\n"
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
FILES = [{"name": "2026/a.bio", "bytes": len(TEXT.encode()), "sha256": DIGEST}]


@pytest.fixture
def inputs(work):
    """Where files are taken to; params.yaml names a growing source."""
    work.section["growing"] = {"source": "labels", "broken_share_max": 0.0, "settled_s": 0.0}
    folder = work.path / "inputs" / "growing"
    folder.mkdir(parents=True)
    (folder / f"{DIGEST}.bio").write_text(TEXT)
    write_list(folder, FILES)
    return folder


def test_the_command_leaves_them_in_the_corpus(work, inputs):
    (inputs / "0.bio").write_text("not listed")
    assert work.run("sh", "-c", 'umask 077; exec "$@"', "-") == (0, "")
    corpus = work.path / "data/corpus"
    [file] = (corpus / "growing").iterdir()
    assert (file.name, file.read_text()) == (f"{DIGEST}.bio", TEXT)
    modes = {path.stat().st_mode & 0o777 for path in (file, file.parent)}
    assert modes == {0o644, 0o755}
    assert json.loads((corpus / "source.json").read_text("utf-8"))["growing"] == FILES


@pytest.mark.parametrize("wrong", ["list", "file", "content"])
def test_what_is_not_as_it_was_taken_is_refused(work, inputs, wrong):
    name = "files.json" if wrong == "list" else f"{DIGEST}.bio"
    (inputs / name).unlink()
    if wrong == "content":
        (inputs / name).write_text(TEXT + TEXT)
    with pytest.raises(
        StageError,
        match="by? `python -m pipelines check --write`"
        if wrong != "list"
        else "check --write` takes there",
    ) as error:
        download(
            work.params(), work.path / "data/corpus", work.path / "data/encoder", inputs.parent
        )
    assert str(error.value).startswith(str(inputs / name))
    assert not (work.path / "data/corpus").exists()
