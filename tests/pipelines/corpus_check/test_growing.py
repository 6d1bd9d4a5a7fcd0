"""The growing source: what is taken of a folder or a bucket, what is left out, and why."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.corpus_check import growing
from pipelines.corpus_check.bucket import listed
from pipelines.errors import PipelineError
from pipelines.workspaces import overlays
from stages.contract.hashing import checksums, sha256
from stages.fetching.growing import copy_growing
from tests.conftest import ROOT

LINE = {"text": "安娜搬到了新月港。", "label": [[0, 2, "PER"], [5, 8, "LOC"]]}
GOOD = json.dumps(LINE, ensure_ascii=False) + "\n"
BIO = "新\tB-LOC\n港\tI-LOC\n好\tO\n\n波\tB-PER\n"
BROKEN = {
    "empty.jsonl": (b"", "empty.jsonl has no sentence; check that it is the right file"),
    "half.jsonl": (GOOD.encode()[:-9], "half.jsonl:1: not JSON ("),
    "half.bio": (BIO.encode()[:-4], "half.bio:5: unknown tag 'B-'"),
    "half.parquet": (b"PAR1\x15\x04", "half.parquet is not Parquet"),
    "latin.txt": ("Zürich\tB-LOC\n".encode("latin-1"), "latin.txt:1: not UTF-8 (byte 0xfc)"),
    "sub/notes.md": (b"# Notes\n", "sub/notes.md:1: 1 columns in '# Notes'"),
    "type.json": (GOOD.replace("PER", "PRE").encode(), "type.json:1: unknown type 'PRE'"),
}


def write(folder: Path, **files: bytes | str) -> None:
    """Writes files that have been there for an hour."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def params(tmp_path):
    """Gives the stages' parameters with the growing source `labels` and these keys in it."""

    def params(source="labels", types=("PER", "ORG", "LOC"), **keys):
        values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        given = {"source": source, "broken_share_max": 0.9, "settled_s": 60.0} | keys
        values["download"]["growing"] = given
        values["align"]["types"] = types and [*types]
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return overlays.sections(tmp_path).stages

    return params


@pytest.fixture
def take(tmp_path, params):
    """Takes `labels` to `inputs`, and sees to it that nothing changes there."""

    def take(**keys):
        labels = tmp_path / "labels"
        before = [(p, p.lstat().st_mtime_ns) for p in sorted(labels.rglob("*"))]
        try:
            return growing.take(tmp_path, params(**keys), tmp_path / "inputs")
        finally:
            assert before == [(p, p.lstat().st_mtime_ns) for p in sorted(labels.rglob("*"))]

    return take


def test_good_files_of_all_formats_are_taken_and_the_others_named(take, tmp_path):
    labels = tmp_path / "labels"
    write(labels, **{"b.jsonl": GOOD, "sub/c.bio": BIO, "z.jsonl": GOOD, ".d.jsonl": "half"})
    write(labels, **{name: content for name, (content, _) in BROKEN.items()})
    columns = {"tokens": [["安", "娜"]], "ner_tags": [["B-PER", "I-PER"]]}
    pq.write_table(pa.table(columns), labels / "a.parquet")
    os.utime(labels / "a.parquet", (1, 1))
    (labels / "new.jsonl").write_text(GOOD.replace("安娜", "波波"))
    (labels / "gone.jsonl").symlink_to("nowhere")
    os.mkfifo(labels / "pipe.jsonl")
    os.utime(labels / "pipe.jsonl", (1, 1))
    taken = take()
    assert taken.summary == (
        "Growing source labels: 3 files, 4 sentences; 8 broken; 2 left to the next run; 1 copies"
    )
    assert taken.broken.pop("pipe.jsonl") == "it is no regular file"
    assert {name: why[: len(BROKEN[name][1])] for name, why in taken.broken.items()} == {
        name: why for name, (_, why) in BROKEN.items()
    }
    assert taken.late["new.jsonl"].endswith(" s ago, and download.growing.settled_s is 60")
    assert taken.late["gone.jsonl"] == "it changed or was deleted while it was read"
    assert taken.same == {"z.jsonl": "b.jsonl"}
    assert f"half.jsonl of the growing source is broken: {taken.broken['half.jsonl']}" in (
        taken.left_out
    )
    expected = [labels / name for name in ("a.parquet", "b.jsonl", "sub/c.bio")]
    by_hash = {sha256(path): path for path in expected}
    inputs = tmp_path / "inputs" / "growing"
    files = checksums(inputs)
    files.pop("files.json")
    assert files == {f"{digest}{path.suffix}": digest for digest, path in by_hash.items()}
    assert copy_growing(inputs, tmp_path / "out")["growing"] == [
        {
            "name": by_hash[digest].relative_to(labels).as_posix(),
            "bytes": by_hash[digest].stat().st_size,
            "sha256": digest,
        }
        for digest in sorted(by_hash)
    ]
    assert checksums(tmp_path / "out") == files


def test_a_renamed_file_or_a_broken_one_more_changes_no_file_that_is_taken(take, tmp_path):
    write(tmp_path / "labels", **{"a.jsonl": GOOD, "b.bio": BIO})
    take()
    before = checksums(tmp_path / "inputs" / "growing")
    write(tmp_path / "labels", **{"0.jsonl": b"half"})
    assert take().broken
    assert checksums(tmp_path / "inputs" / "growing") == before
    (tmp_path / "labels/b.bio").rename(tmp_path / "labels/0.bio")
    take()
    after = checksums(tmp_path / "inputs" / "growing")
    assert {name for name in after if after[name] != before[name]} == {"files.json"}


def test_a_file_that_changes_after_it_was_listed_is_left_to_the_next_run(tmp_path):
    write(tmp_path / "labels", **{"a.jsonl": GOOD, "b.jsonl": GOOD, "c.jsonl": GOOD})
    source = listed(tmp_path, "labels")
    (tmp_path / "labels/b.jsonl").write_text(GOOD * 2)
    (tmp_path / "labels/c.jsonl").unlink()
    changed = [source.copy(entry, tmp_path / "copy") for entry in source.entries]
    assert changed == [False, True, True]


@pytest.mark.parametrize(
    ("broken", "share", "said"),
    [
        (1, 0.3, "1 of 3 files in the growing source labels are broken, more than"
                 " download.growing.broken_share_max = 0.3 allows: bad0.jsonl: bad0.jsonl:1: not"),
        (2, 1.0, None),
        (6, 0.7, "6 of 8 files in the growing source labels are broken, more than"),
    ],
)  # fmt: skip
def test_too_many_broken_files_end_the_run_and_leave_what_was_taken_before(
    take, tmp_path, broken, share, said
):
    write(tmp_path / "labels", **{"a.jsonl": GOOD, "b.bio": BIO})
    take()
    before = checksums(tmp_path / "inputs")
    write(tmp_path / "labels", **{f"bad{n}.jsonl": f"half {n}" for n in range(broken)})
    if said is None:
        assert len(take(broken_share_max=share).broken) == broken
        return
    with pytest.raises(PipelineError) as error:
        take(broken_share_max=share)
    assert str(error.value).startswith(said)
    assert ("; and 1 more. Correct them or move them away" in str(error.value)) == (broken == 6)
    assert checksums(tmp_path / "inputs") == before


def test_all_broken_is_an_error_whatever_the_share(take, tmp_path):
    write(tmp_path / "labels", **{"bad.jsonl": "half"})
    with pytest.raises(PipelineError, match=r"1 of 1 file .* broken, so none is left to train on"):
        take(broken_share_max=1.0)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"source": "none"}, r"source none: .*/none is not a folder; create it, or correct"),
        ({"source": "$NER_UNSET"}, r"source: \$NER_UNSET: that environment variable is not set"),
        ({"source": "https://example.org/x"}, "is a web address, which does not list its files"),
        ({"source": "gs://bucket/x"}, r"cannot be listed \(gs is supported, but requires"),
        ({"source": "s3://a:b@bucket"}, "is an address with a password or token"),
        ({"types": None}, "download.growing needs align.types, the entity types by name"),
    ],
)
def test_a_source_that_cannot_be_is_refused(tmp_path, params, keys, said):
    with pytest.raises(PipelineError, match=said):
        growing.take(tmp_path, params(**keys), tmp_path / "inputs")
    assert not (tmp_path / "inputs").exists()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a real S3 server on loopback, which has an empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for key, value in {
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    httpx.post(f"{url}/moto-api/reset", trust_env=False).raise_for_status()
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()


def test_a_bucket_is_read_as_a_folder_is(bucket, params, tmp_path):
    def put(name: str, content: str) -> None:
        bucket.put_object(Bucket="bucket", Key=f"ner/{name}", Body=content.encode())

    given = params(source="s3://bucket/ner", settled_s=0.0)
    with pytest.raises(PipelineError, match=r"cannot be listed \(there is nothing at bucket/ner"):
        growing.take(tmp_path, given, tmp_path / "inputs")
    for name, content in {"a.jsonl": GOOD, "sub/b.bio": BIO, "c.jsonl": "half"}.items():
        put(name, content)
    taken = growing.take(tmp_path, given, tmp_path / "inputs")
    assert sorted(file["name"] for file in taken.files) == ["a.jsonl", "sub/b.bio"]
    assert taken.broken.keys() == {"c.jsonl"}
    assert {file["sha256"] for file in taken.files} <= {
        *checksums(tmp_path / "inputs/growing").values()
    }
    source = listed(tmp_path, "s3://bucket/ner")
    put("a.jsonl", BIO)
    changed = {entry.name: source.copy(entry, tmp_path / "copy") for entry in source.entries}
    assert changed == {"a.jsonl": True, "c.jsonl": False, "sub/b.bio": False}
