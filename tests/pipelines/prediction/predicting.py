"""What the tests of `predict` share: files to read and what must come out."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def spans(row) -> list[tuple[str, int, int]]:
    return [(e["type"], e["start"], e["end"]) for e in row["entities"]]


def check(rows, expected) -> None:
    assert [row["text"] for row in rows] == list(expected)
    assert [spans(row) for row in rows] == list(expected.values())
    assert {row["error"] for row in rows} == {None}
    assert all(row["provider"].endswith("ExecutionProvider") for row in rows)
    assert all(list(row) == ["text", "entities", "error", "provider"] for row in rows)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, texts) -> Path:
    """A file with these rows, in the format of its ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"id": range(len(texts)), "text": list(texts)}), path)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8-sig", newline="") as file:  # as Excel writes it
            rows = csv.writer(file, "excel" if path.suffix == ".csv" else "excel-tab")
            rows.writerows([["id", "text"], *enumerate(texts)])
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        path.write_text("\n".join(texts), encoding="utf-8")
    return path
