import subprocess

import pytest

from stages.contract.hashing import CHUNK_BYTES, checksums, digests, md5, sha256

CONTENTS = {
    "empty": b"",
    "short": b"text\n",
    "a chunk": b"x" * CHUNK_BYTES,
    "more than a chunk": bytes(range(256)) * (CHUNK_BYTES // 256) + b"end",
}


def printed(*command):
    """The first word that a tool prints."""
    return subprocess.check_output(command, text=True).split()[0]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_hashes_are_those_of_the_tools(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    assert sha256(file) == printed("sha256sum", file)
    assert md5(file) == printed("md5sum", file)
    assert digests(file) == {
        "bytes": len(content),
        "sha256": printed("sha256sum", file),
        "git_blob": printed("git", "hash-object", "--no-filters", file),
    }


def test_several_files_as_if_one(tmp_path):
    parts = [tmp_path / str(number) for number in range(len(CONTENTS))]
    for part, content in zip(parts, CONTENTS.values(), strict=True):
        part.write_bytes(content)
    whole = tmp_path / "whole"
    whole.write_bytes(b"".join(CONTENTS.values()))
    assert sha256(*parts) == sha256(whole) != sha256(*parts[::-1])


def test_each_file_of_a_folder(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/c", "a"):
        (tmp_path / name).write_text(name)
    assert list(checksums(tmp_path).items()) == [
        (name, printed("sha256sum", tmp_path / name)) for name in ("a", "b/c")
    ]


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "none")
