"""Fetching one file that is known."""

import hashlib

import pytest

from stages.fetching.file import fetch
from stages.params.download import Source

BODY = bytes(range(256)) * 40


def source(*addresses, body=BODY, **checks):
    found = {
        "bytes": len(body),
        "git_blob": hashlib.sha1(
            b"blob %d\0" % len(body) + body, usedforsecurity=False
        ).hexdigest(),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return Source(sources=list(addresses), **(found | checks))


@pytest.fixture
def get(tmp_path):
    def get(*addresses, timeout_s=5.0, attempts=2, headers=None, **checks):
        path = tmp_path / "got" / "train.txt"
        path.parent.mkdir(exist_ok=True)
        measured = fetch(
            source(*addresses, **checks),
            path,
            timeout_s=timeout_s,
            attempts=attempts,
            remedy="do something",
            headers=headers,
        )
        assert path.read_bytes() == BODY
        assert measured.pop("seconds") >= 0
        return measured

    return get
