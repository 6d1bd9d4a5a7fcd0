"""MSRA as text files, from the raw files of GitHub."""

import json

import pytest

from tests.stages.sources.conftest import (
    ENTITIES,
    PLAIN,
    RAW,
    SENTENCES,
    SOURCES,
    aligned,
)


@pytest.mark.slow  # 11 s: the real files
def test_from_the_second_mirror_where_the_first_lost_the_file_and_aligned(
    brought, msra, mirror, tmp_path
):
    lost, second = SOURCES["train"]["sources"]
    mirror.put(second.removeprefix(RAW), msra["train"], headers=PLAIN, cuts=[9_000_000])
    mirror.put(SOURCES["test"]["sources"][0].removeprefix(RAW), msra["test"], headers=PLAIN)
    raw, files = brought()
    assert files["train.txt"]["mirror"] == second.replace(RAW, mirror.url)
    assert files["train.txt"]["bytes_fetched"] == SOURCES["train"]["bytes"]
    assert mirror.requests[0] == (lost.removeprefix(RAW), None)
    source = json.loads((raw / "source.json").read_text(encoding="utf-8"))
    for split in msra:
        assert source[split]["sentences"] == SENTENCES[split]
        assert source[split]["entities"] == ENTITIES[split]

    sentences, entities, repaired = aligned(raw, tmp_path)
    assert sentences == SENTENCES
    assert entities == ENTITIES
    assert repaired == {"train": {"empty_tag": 57}, "test": {}}
