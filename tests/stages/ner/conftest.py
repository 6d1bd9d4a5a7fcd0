"""Fetching one file that is known; windows packed into rows."""

import hashlib

import numpy as np
import pytest

from stages.ner.aligned import Aligned
from stages.ner.fetch import fetch
from stages.ner.packing import plan_rows
from stages.params import Source

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


@pytest.fixture
def rows_of():
    """Seven windows with differently many labelled tokens, and the rows that they fill."""

    def rows_of(row_tokens):
        rng = np.random.default_rng(2)
        lengths = (3, 12, 7, 9, 4, 16, 5)
        labels = [rng.integers(0, 5, size=n) for n in lengths]
        for row in labels:
            row[[0, -1]] = -100
            row[1 : len(row) // 3] = -100
        data = Aligned(
            sentence=list(range(7)),
            cells=[[]] * 7,
            input_ids=[rng.integers(1, 30, size=n) for n in lengths],
            labels=labels,
        )
        return data, plan_rows(lengths, row_tokens, rng)

    return rows_of
