"""The small inputs of `shared`/cases, each of a kind that once failed, by `check`."""

import json
import shutil

import pytest
import yaml

from tests.conftest import ROOT
from tests.stages.align.test_align_real import FILES

TINY = {"dev_sentences": 1, "dev_block_sentences": 1}
CASES = {
    "comment-sign": (("en-train.txt", "en-test.txt"), ROOT / "samples/encoder", "a.yaml"),
    "json-array": (("c.jsonl", "c.jsonl"), ROOT / "samples/encoder", {"format": "jsonl"}),
    "label-names": (("c.txt", "d.txt"), ROOT / "samples/encoder", {}),
    "numbers-as-one-token": (("train.txt", "test.txt"), ROOT / "samples/encoder", {}),
    "parquet-map-column": (("b.parquet", "b.parquet"), ROOT / "samples/encoder", "own.yaml"),
    "roberta-positions": (
        ("train.txt", "test.txt"),
        "encoder",
        {"window_tokens": 66, "window_overlap_tokens": 16},
    ),
    "vocabulary-with-ids": (("train.txt", "test.txt"), "encoder-c", {}),
}
SAID = {  # an error, or else a warning
    "comment-sign": "are words that the encoder does not know; most often in ",
    "json-array": "test sentences are in train too, so F1 is too high",
    "label-names": "/c.txt:1: the entity type 'Work Of Art' is not letters",
    "numbers-as-one-token": None,
    "parquet-map-column": "test sentences are in train too, so F1 is too high",
    "roberta-positions": "align.window_tokens is 66, but the encoder in ",
    "vocabulary-with-ids": r"vocab.txt line 1 is '[PAD]\t0'",
}


@pytest.fixture
def checked(shared, tmp_path, monkeypatch, command):
    """The answer of `check` about these files of `shared`."""

    def checked(folder, files, encoder, align):
        for name in ("params.yaml", "dvc.yaml"):  # by which a project is known
            shutil.copy(ROOT / name, tmp_path)
        download = {
            split: {"sources": [str(folder / name)], "bytes": None, "git_blob": None}
            | {"sha256": "unpinned"}
            for split, name in zip(("train", "test"), files, strict=True)
        }
        download["encoder"] = {"hub_id": None, "revision": None, "folder": str(encoder)}
        download["encoder"]["from_scratch"] = not (encoder / "model.safetensors").exists()
        values = {"download": download, "align": {"types": None} | align}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(values))
        monkeypatch.chdir(tmp_path)
        return json.loads(command("check", "--params", "own.yaml", "--json")[1])

    return checked


@pytest.mark.parametrize("case", CASES)
def test_case(shared, checked, case):
    folder = shared / "cases" / case
    if not folder.is_dir():
        pytest.skip(f"{shared} has no cases")
    files, encoder, align = CASES[case]
    if isinstance(align, str):
        align = yaml.safe_load((folder / align).read_text())["align"]
    found = checked(folder, files, folder / encoder, TINY | align)
    said = found["errors"] + [warning["message"] for warning in found["warnings"]]
    assert any(SAID[case] in text for text in said) if SAID[case] else said == []
    assert found["exit_code"] == bool(found["errors"])


@pytest.mark.slow  # 12 s of CPU: all of MSRA; its figures are those of test_align_real.py
def test_msra_gives_no_warning(shared, checked):
    found = checked(shared / "msra", FILES.values(), shared / "encoders/minilm-zh-char", {})
    assert (found["errors"], found["warnings"]) == ([], [])
    assert found["repaired"]["train"] == {"empty_token": 57}
