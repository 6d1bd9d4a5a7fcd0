import hashlib
import json
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from stages.contract.errors import StageError
from stages.contract.hashing import digests
from stages.contract.section import read
from stages.download import download
from stages.params.download import Download
from tests.stage_process import until_made

OUTS = [
    "data/corpus/source.json",
    "data/corpus/test.txt",
    "data/corpus/train.txt",
    "data/encoder/config.json",
    "data/encoder/model.safetensors",
    "data/encoder/tokenizer_config.json",
    "data/encoder/vocab.txt",
]


def fetch_all(work):
    return download(work.params(), work.path / "data/corpus", work.path / "data/encoder")


def git_blob(path):
    return subprocess.check_output(["git", "hash-object", "--no-filters", path], text=True).strip()


def test_the_command_leaves_these_files(work, encoder, tmp_path):
    train, test = work.section["train"], work.section["test"]
    assert work.run("sh", "-c", 'umask 077; exec "$@"', "-") == (0, "")
    files = work.files()
    measured = json.loads(files.pop(".measured/download.json"))
    assert list(files) == OUTS
    for name in OUTS:
        path = work.path / name
        assert not path.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o644
    assert files["data/corpus/train.txt"] == (tmp_path / "train").read_bytes()
    assert files["data/corpus/test.txt"] == (tmp_path / "test").read_bytes()
    assert json.loads(files["data/corpus/source.json"]) == {
        "name": "语料",
        "language": "zh",
        "licence": "许可",
        "train": {
            "bytes": train["bytes"],
            "sha256": train["sha256"],
            "git_blob": git_blob(tmp_path / "train"),
            "sentences": 2,
            "entities": {"LOC": 1, "PER": 1},
        },
        "test": {
            "bytes": test["bytes"],
            "sha256": test["sha256"],
            "git_blob": git_blob(tmp_path / "test"),
            "sentences": 1,
            "entities": {"LOC": 2},
        },
        "encoder": {
            "from": "folder",
            "sha256": {
                Path(name).name: hashlib.sha256(
                    (encoder / Path(name).name).read_bytes()
                ).hexdigest()
                for name in OUTS[3:]
            },
        },
    }
    assert set(measured["files"]) == {Path(name).name for name in OUTS} - {"source.json"}
    assert measured["files"]["train.txt"]["mirror"] == train["sources"][0]


# A file, and what source.json counts in it.
COUNTED = {
    "IOB1": (b"a I-X\nb I-X\nc B-X\n", {"sentences": 1, "entities": {"X": 2}}),
    "columns": (
        b"-DOCSTART- -X- O O\n\na NN I-NP B-X\n\nb NN I-NP O\n",
        {"sentences": 2, "entities": {"X": 1}},
    ),
    "a side is empty": (
        b"a\tB-X\n0\t\nb\tI-X\n\tO\n\n0\t\n",
        {"sentences": 2, "entities": {"X": 2}},
    ),
    "BIOES": (b"a O\nb S-X\n", {}),
    "JSONL": (b'{"text": "a", "label": [[0, 1, "X"]]}\n', {}),
}


@pytest.mark.parametrize(("content", "counts"), COUNTED.values(), ids=COUNTED)
def test_a_dev_split_of_any_format(work, tmp_path, content, counts):
    (tmp_path / "dev.data").write_bytes(content)
    checks = {"bytes": None, "git_blob": None, "sha256": hashlib.sha256(content).hexdigest()}
    work.section["dev"] = {"sources": [str(tmp_path / "dev.data")]} | checks
    fetch_all(work)
    files = work.files()
    assert files["data/corpus/dev.data"] == content
    source = json.loads(files["data/corpus/source.json"])
    about = ["name", "language", "licence"]
    assert [*source] == [*about, "train", "dev", "test", "encoder"]
    assert {k: v for k, v in source["dev"].items() if k in ("sentences", "entities")} == counts


ENDINGS = {
    "corpus/dev.jsonl": "jsonl",
    "$NER_DATA/v1.2/dev.conll": "conll",
    "https://example.org/resolve/refs%2Fconvert%2Fparquet/0.parquet?download=true": "parquet",
    "https://example.org/msra_train_bio": "txt",
    "https://example.org/v1.2": "txt",
    "file:///data/a.b/dev": "txt",
}


@pytest.mark.parametrize(("address", "ending"), ENDINGS.items())
def test_a_copy_has_the_ending_of_its_first_source(work, address, ending):
    work.section["dev"] = work.section["test"] | {"sources": [address, "other.zip"]}
    assert work.params().files["dev"] == f"dev.{ending}"


def test_the_same_bytes_from_another_mirror(work, mirror, tmp_path):
    fetch_all(work)
    before = work.files()
    gone, there = mirror.url + "/gone", mirror.put("/train", (tmp_path / "train").read_bytes())
    work.section["train"]["sources"] = [gone, there]
    work.section |= {"timeout_s": 3.0, "attempts": 1}
    measured = fetch_all(work)
    assert measured["files"]["train.txt"]["mirror"] == there
    assert work.files() == before


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_failure_keeps_what_was_there(work, mirror, split):
    bad = mirror.put("/bad", b"<html>", headers={"Content-Type": "text/html"})
    source, good = work.section[split], work.section[split]["sources"]
    source["sources"] = [bad]
    with pytest.raises(StageError) as error:
        fetch_all(work)
    assert str(error.value) == (
        f"{split}.txt could not be fetched: {bad}: is an HTML page, not the file; "
        f"try again, or add a mirror or a copy to download.{split}.sources"
    )
    assert work.files() == {}

    source["sources"] = good
    fetch_all(work)
    before = work.files()
    assert list(before) == OUTS
    source["sources"] = [bad]
    with pytest.raises(StageError, match="HTML"):
        fetch_all(work)
    assert work.files() == before


def test_an_encoder_that_fails_keeps_the_corpus_too(work, encoder):
    fetch_all(work)
    before = work.files()
    work.section["licence"] = "another"
    (encoder / "vocab.txt").unlink()
    with pytest.raises(StageError, match="has no tokenizer"):
        fetch_all(work)
    assert work.files() == before


def test_the_command_prints_one_sentence(work, tmp_path):
    work.section["test"]["sources"] = [str(tmp_path / "none")]
    status, printed = work.run()
    assert status == 1
    assert printed.startswith(f"download: test.txt could not be fetched: {tmp_path}/none: is not ")
    assert printed.count("\n") == 1
    assert work.files() == {}


def test_a_full_disk_is_one_sentence(work, encoder):
    # A limit on the size of a file fails the write as a full disk does.
    (encoder / "added_tokens.json").write_text(" " * 4096 + "{}")
    status, printed = work.run("sh", "-c", 'ulimit -f 1; exec "$@"', "-")
    assert (status, printed.count("\n")) == (1, 1)
    assert printed.startswith("download: ")
    assert "File too large" in printed
    assert work.files() == {}


def test_sigterm_leaves_nothing_behind(work, mirror, tmp_path):
    work.section["timeout_s"] = 60.0
    fetch_all(work)
    before = work.files()
    body = (tmp_path / "test").read_bytes()
    work.section["test"]["sources"] = [mirror.put("/test", body, hang_after=9)]
    with work.start() as process:
        until_made("data/.corpus.partial/test.txt", work.path, process)
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        assert process.stderr.read() == ""
    assert work.files() == before
    assert sorted(p.name for p in (work.path / "data").iterdir()) == ["corpus", "encoder"]


def test_the_real_test_file_is_the_one_of_params(shared, request):
    params = read(Download, request.config.rootpath / "params.yaml")
    found = digests(shared / "msra/msra_test_bio.txt")
    assert found == params.test.model_dump(include={"bytes", "git_blob", "sha256"})


def test_the_real_files(shared, work, request, monkeypatch):
    monkeypatch.setenv("NER_SHARED", str(shared))
    real = yaml.safe_load((request.config.rootpath / "params.yaml").read_text(encoding="utf-8"))
    work.section["test"] = real["download"]["test"] | {
        "sources": ["file://$NER_SHARED/msra/msra_test_bio.txt"]
    }
    work.section["encoder"]["folder"] = "$NER_SHARED/encoders/minilm-zh-char"
    fetch_all(work)
    assert list(work.files()) == OUTS
    source = json.loads((work.path / "data/corpus/source.json").read_text(encoding="utf-8"))
    assert source["test"]["sentences"] == 3442
    assert source["test"]["entities"] == {"LOC": 2886, "ORG": 1331, "PER": 1973}


def text_source(address, content):
    pins = {"bytes": None, "git_blob": None, "sha256": hashlib.sha256(content).hexdigest()}
    return {"sources": [address]} | pins


def test_plain_text_is_fetched_and_checked_like_the_corpus(work, mirror, tmp_path):
    near, far = "北京大学在北京。\n".encode(), b"far away\n"
    (tmp_path / "near.text").write_bytes(near)
    web = mirror.put("/far", far)
    work.section["text"] = [text_source(str(tmp_path / "near.text"), near), text_source(web, far)]
    measured = fetch_all(work)
    files = work.files()
    assert files["data/corpus/text.0.text"] == near
    assert files["data/corpus/text.1.txt"] == far
    assert measured["files"]["text.1.txt"]["mirror"] == web
    source = json.loads(files["data/corpus/source.json"])
    assert [source[f"text.{n}"]["bytes"] for n in (0, 1)] == [len(near), len(far)]
    assert source["text.1"]["sha256"] == hashlib.sha256(far).hexdigest()
    work.section["text"][1]["sha256"] = "0" * 64
    with pytest.raises(StageError, match=r"to download\.text\.1\.sources") as error:
        fetch_all(work)
    assert f"expected {'0' * 64}" in str(error.value)
    assert work.files() == files
