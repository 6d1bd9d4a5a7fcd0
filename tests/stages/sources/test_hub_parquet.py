"""MSRA as Parquet, from the Hugging Face hub: the overlay of docs/your-own-corpus.md."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import ROOT
from tests.stages.sources.conftest import ENTITIES, HUB, PLAIN, SENTENCES, aligned
from tests.stages.tiny import TAGS


@pytest.mark.slow  # 45,000 sentences; the raw files are brought and aligned by default
def test_parquet_of_the_hub(brought, msra, mirror, mirror_2, tmp_path):
    noted = {"train": (45001, 33323074), "test": (3443, 2642934)}  # in dataset_infos.json
    page = (ROOT / "docs/your-own-corpus.md").read_text(encoding="utf-8")
    overlays = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    [overlay] = [one for one in overlays if f"{HUB}/datasets" in one]
    overlay = yaml.safe_load(overlay.replace(HUB, mirror.url))
    for split, text in msra.items():
        found = rows(text)
        path = tmp_path / split
        assert (len(found), write_parquet(found, path)) == noted[split]
        there = mirror_2.put(f"/xet-bridge-us/{split}", path.read_bytes())
        branch = "/datasets/levow/msra_ner/resolve/refs%2Fconvert%2Fparquet/msra_ner"
        at = f"{branch}/{split}/0000.parquet"
        mirror.put(at, status=302, headers=PLAIN | {"Location": there})
    raw, _ = brought(**overlay["download"])
    sentences, entities, repaired = aligned(raw, tmp_path, **overlay["align"])
    assert sentences == SENTENCES
    assert entities == ENTITIES
    assert repaired == {"train": {"empty": 1}, "test": {"empty": 1}}


def rows(text):
    """As the script makes them: a line without a tag has O, and the last row is empty."""
    found, tokens, tags = [], [], []
    for line in text.decode().split("\n")[:-1]:
        columns = line.strip().split("\t")
        if columns != [""]:
            tokens.append(columns[0])
            tags.append(TAGS.index(columns[1] if len(columns) > 1 else "O"))
        elif tokens:
            found.append((str(len(found)), tokens, tags))
            tokens, tags = [], []
    return [*found, (str(len(found)), tokens, tags)]


def write_parquet(rows, path):
    """With the features as `datasets` wrote them before it had List; gives the rows' size."""
    features = {
        "id": {"dtype": "string", "_type": "Value"},
        "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
        "ner_tags": {"feature": {"names": TAGS, "_type": "ClassLabel"}, "_type": "Sequence"},
    }
    schema = pa.schema(
        {
            "id": pa.string(),
            "tokens": pa.list_(pa.string()),
            "ner_tags": pa.list_(pa.int64()),
        },
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    size = 0
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, len(rows), 10_000):
            columns = zip(*rows[start : start + 10_000], strict=True)
            table = pa.table(
                [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
            )
            size += table.get_total_buffer_size()
            file.write_table(table)
    return size
