import hashlib
import importlib.util
import json
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

import stages.export
from stages.model.decode import Span
from stages.model.tagger import forward_of, load_tagger
from stages.onnx_export.session import forward_of as session_forward_of
from stages.onnx_export.session import open_session
from stages.scoring.predictions import entities, read_predictions, sha256
from tests.conftest import ROOT
from tests.invented import VOCABULARY, entities_of, text_of
from tests.stage_process import files

pytestmark = pytest.mark.usefixtures("one_thread")
OUTS = ["README.md", "calibration.json", "labels.json", "model.onnx", "tokenizer.json"]


def test_the_command_leaves_these_files(tiny):
    ours = files(tiny.onnx)
    assert sorted(ours) == OUTS  # no external data beside the model
    assert ours["labels.json"] == (tiny.ner / "labels.json").read_bytes()
    assert ours["calibration.json"] == tiny.report("calibration.json").read_bytes()
    assert ours["tokenizer.json"] == (tiny.ner / "tokenizer.json").read_bytes()


def test_the_report(tiny):
    report = tiny.json("export.json")
    scores = tiny.json("metrics.json")["test"]
    of_types = report.pop("types")
    for name in ("precision", "recall", "f1", "support"):
        assert report.pop(name) == pytest.approx(scores[name], abs=1e-6), name
        for type_, row in of_types.items():
            assert row.pop(name) == pytest.approx(scores["types"][type_][name], abs=1e-6)
    assert of_types == {"PER": {}, "ORG": {}, "LOC": {}}
    assert 0 < report.pop("logit_difference_max") < 1e-4
    assert len(report.pop("onnx_sha256")) == 64
    raw = (tiny.path / "data/corpus/test.txt").read_bytes()
    assert report.pop("test_sha256") == hashlib.sha256(raw + b"\n").hexdigest()
    assert report.pop("test_sentences") == len(tiny.test)
    assert report.pop("nodes_per_provider").keys() == {"CPUExecutionProvider"}
    assert report == {
        "model_head": "linear",
        "onnx_precision": "fp32",
        "providers_asked": ["CPUExecutionProvider"],
        "providers_got": ["CPUExecutionProvider"],
        "cuda_validated": False,
        "tag_agreement": 1.0,
        "f1_delta": 0.0,
        "cpu_nodes_not_allowed": [],
        "fused_operators": {"Attention": 1, "BiasGelu": 1},
        "opset": 20,
    }


def test_the_predictions_of_each_sentence_add_up_to_the_report(tiny):
    with tiny.report("predictions.jsonl").open(encoding="utf-8") as file:
        rows = read_predictions(file)
    texts = [text_of(sentence) for sentence in tiny.test]
    assert [set(row.gold) for row in rows] == [set(entities_of(sentence)) for sentence in tiny.test]
    wrong = [row.gold != row.predicted for row in rows]
    assert [row.text for row in rows] == [
        text if is_wrong else None for text, is_wrong in zip(texts, wrong, strict=True)
    ]
    assert 0 < sum(wrong) < len(rows)
    of_types = tiny.json("export.json")["types"]
    for type_ in ("PER", "ORG", "LOC"):
        gold, found, right = (
            sum(span.type == type_ for row in rows for span in of(row))
            for of in (lambda r: r.gold, lambda r: r.predicted, lambda r: r.gold & r.predicted)
        )
        assert gold == of_types[type_]["support"]
        assert 2 * right / (gold + found) == pytest.approx(of_types[type_]["f1"], abs=1e-12)


def test_a_cell_may_be_several_characters():
    tags = ["B-PER", "I-PER", "O", "B-LOC"]
    cells = ["Li", " Ming", " in", " 北京"]
    assert entities(cells, tags) == [Span(0, 7, "PER"), Span(11, 13, "LOC")]


def test_the_tests_data_is_the_same_with_another_tokenizer(tiny):
    cells = [[cell for cell, _ in sentence] for sentence in tiny.test]
    tags = [[tag for _, tag in sentence] for sentence in tiny.test]
    assert sha256(cells, tags) == tiny.json("export.json")["test_sha256"]
    tags[-1] = ["O"] * len(tags[-1])
    assert sha256(cells, tags) != tiny.json("export.json")["test_sha256"]


def test_it_equals_torch_at_every_length_and_batch(tiny):
    ours = session_forward_of(open_session(tiny.onnx / "model.onnx", False, 1))
    torchs = forward_of(load_tagger(tiny.ner, torch.device("cpu")))
    rng = np.random.default_rng(4)
    for length in range(1, 129):
        batch = 1 + length % 17
        ids = rng.integers(0, len(VOCABULARY), size=(batch, length))
        padding = np.arange(length) >= rng.integers(1, length + 1, size=(batch, 1))
        for mask in (np.ones_like(ids), np.where(padding, 0, 1)):
            got, expected = ours(ids, mask), torchs(ids, mask)
            assert got.shape == (batch, length, 7)
            real = mask == 1
            np.testing.assert_allclose(got[real], expected[real], rtol=0, atol=1e-4)


@pytest.mark.slow  # so that all others end within eight minutes
def test_the_same_bytes_from_a_place_with_another_name(tiny, tmp_path, monkeypatch, capfd):
    """In another process too, whose hashes have another seed."""
    place = tmp_path / "命名 实体 (2)"
    for name in ("data/aligned", "data/corpus", "models/ner"):
        shutil.copytree(tiny.path / name, place / name)
    (place / "reports").mkdir()
    for name in ("params.yaml", "reports/metrics.json", "reports/calibration.json"):
        shutil.copy(tiny.path / name, place / name)
    before = files(place)
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["export"])
    handler = signal.getsignal(signal.SIGTERM)
    stages.export.main()
    signal.signal(signal.SIGTERM, handler)
    assert capfd.readouterr() == ("", "")
    left = {name: content for name, content in files(place).items() if name not in before}
    del left[".measured/export.json"]
    assert left == {
        **{f"models/onnx/{name}": content for name, content in files(tiny.onnx).items()},
        "reports/export.json": tiny.report("export.json").read_bytes(),
        "reports/predictions.jsonl": tiny.report("predictions.jsonl").read_bytes(),
    }


def test_the_file_knows_no_machine(tiny):
    content = (tiny.onnx / "model.onnx").read_bytes()
    packages = Path(importlib.util.find_spec("torch").origin).parents[1]
    for place in (ROOT, tiny.path, packages, sys.prefix, Path.home(), "site-packages", ".py"):
        assert str(place).encode() not in content, place


def test_the_opset_is_the_one_asked_for(tiny):
    assert_made_for(tiny.onnx / "model.onnx", tiny.params.export.opset)


def assert_made_for(path, opset):
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {domain.version for domain in model.opset_import if domain.domain == ""} == {opset}
    assert [(i.name, _axes(i)) for i in model.graph.input] == [
        ("input_ids", ["batch", "length"]),
        ("attention_mask", ["batch", "length"]),
    ]
    assert [(o.name, _axes(o)) for o in model.graph.output] == [("logits", ["batch", "length", 7])]


def _axes(value):
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_what_was_measured(tiny):
    measured = json.loads((tiny.path / ".measured/export.json").read_text())
    assert measured["time_share_per_provider"] == {"CPUExecutionProvider": 1.0}
    assert measured["copying_nodes"] == 0
    assert measured["onnxruntime"] == ort.__version__
    assert measured["onnxruntime_build"] == ort.get_build_info()
    assert measured["provider_options"].keys() == {"CPUExecutionProvider"}


@pytest.mark.slow  # two exports; the gpu tests export fp16 too
def test_fp16_and_another_opset(tiny, exported, tmp_path):
    report = json.loads(exported(precision="fp16", opset=18)["export.json"])
    assert_made_for(tmp_path / "exported/onnx/model.onnx", report["opset"])
    assert report["opset"] == 18 != tiny.params.export.opset
    assert report["onnx_precision"] == "fp16"
    assert 1e-4 < report["logit_difference_max"] < 0.1
    assert 0.999 <= report["tag_agreement"] <= 1
    assert report["f1_delta"] == pytest.approx(
        report["f1"] - tiny.json("metrics.json")["test"]["f1"]
    )
    fused = tiny.json("export.json")["fused_operators"]  # of fp32, whose norms stay in parts
    assert report["fused_operators"] == fused | {"SkipLayerNormalization": 2}
    # The CPU has most operators in fp32 alone.
    assert sum(report["nodes_per_provider"].values()) > 0
