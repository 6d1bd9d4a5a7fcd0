"""The exported graph against torch: every shape, every precision, every place."""

import shutil

import numpy as np
import onnx
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    BertForTokenClassification,
)

from stages.contract.errors import StageError
from stages.model.tagger import forward_of as torch_forward_of
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.onnx_files import files_sha256
from stages.onnx_export.session import forward_of, open_session
from tests.stages.onnx_export.parity import a_model, difference
from tests.support.families import FAMILIES

WHOLE = 2**31 - 1
TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.2}


@pytest.fixture(scope="module")
def model():
    return a_model()


@pytest.fixture(scope="module")
def graphs(model, tmp_path_factory):
    """Precision → the folder of a graph of it."""
    made = {}
    for precision in TOLERANCE:
        folder = tmp_path_factory.mktemp(precision)
        write_onnx(model, folder / "model.onnx", precision, 20, WHOLE)
        made[precision] = folder
    return made


@pytest.fixture(scope="module")
def differences(model, graphs):
    """How far each precision is from torch at one shape, padded or not."""
    onnx = {p: forward_of(open_session(f / "model.onnx", False, 1)) for p, f in graphs.items()}
    return lambda batch, length, padding: {
        precision: difference(forward, torch_forward_of(model), batch, length, padding)
        for precision, forward in onnx.items()
    }


def within(found, tolerance):
    assert found.keys() == tolerance.keys()
    assert all(found[precision] < tolerance[precision] for precision in found), found


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data(), length=st.integers(1, 512), padding=st.booleans())
def test_any_shape(differences, data, length, padding):
    batch = data.draw(st.integers(1, max(1, min(256, 2048 // length))))
    within(differences(batch, length, padding), TOLERANCE)


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 512), (256, 1), (256, 9), (3, 511)])
def test_the_edges(differences, batch, length, padding):
    within(differences(batch, length, padding), TOLERANCE)


@pytest.mark.slow
def test_the_largest(differences):
    within(differences(256, 512, True), TOLERANCE)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_what_is_in_it(graphs, precision):
    proto = onnx.load(graphs[precision] / "model.onnx")
    operators = [node.op_type for node in proto.graph.node]
    fused = [operators.count(o) for o in ("Attention", "BiasGelu", "SkipLayerNormalization")]
    assert fused == [2, 2, 4 if precision == "fp16" else 0]
    for unfused in ("Softmax", "Gelu", "Erf", "IsNaN", "Where", "Transpose", "Reshape"):
        assert unfused not in operators
    dtype = {"fp32": onnx.TensorProto.FLOAT, "fp16": onnx.TensorProto.FLOAT16}[precision]
    weights = {t.data_type for t in proto.graph.initializer if np.prod(t.dims) > 100}
    assert weights - {onnx.TensorProto.INT64} == {dtype}


def test_a_smaller_file_for_less_precision(graphs):
    sizes = {p: (folder / "model.onnx").stat().st_size for p, folder in graphs.items()}
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]


def test_the_model_is_left_as_it_was(model, graphs):
    assert all(value.dtype == torch.float32 for value in model.parameters())
    assert "self.query.weight" in " ".join(model.state_dict())
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.slow  # so that all others end within eight minutes
def test_weights_too_large_for_one_file_and_attention_not_fused(
    model, tmp_path, monkeypatch, caplog
):
    """Torch 2.6 has no fused attention."""
    monkeypatch.delattr(torch.onnx, "ops")
    place = tmp_path / "外部 数据"
    place.mkdir()
    assert "Attention" not in write_onnx(model, place / "model.onnx", "fp32", 20, 10_000)
    assert "no fused attention by torch" in caplog.text
    assert sorted(path.name for path in place.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert (place / "model.onnx").stat().st_size < 40_000
    moved = tmp_path / "moved"
    shutil.move(place, moved)
    forward = forward_of(open_session(moved / "model.onnx", False, 1))
    for shape in ((1, 1), (3, 20), (3, 512), (7, 33)):
        assert difference(forward, torch_forward_of(model), *shape, True) < TOLERANCE["fp32"]
    whole = files_sha256(moved)
    data = bytearray((moved / "model.onnx.data").read_bytes())
    data[-1] ^= 1
    (moved / "model.onnx.data").write_bytes(data)
    assert files_sha256(moved) != whole


@pytest.mark.slow  # a minute or two, and 18 GiB
@pytest.mark.timeout(900)
def test_a_model_of_more_than_two_gibibytes(tmp_path):
    if psutil.virtual_memory().available < 20 * 2**30:
        pytest.skip("less than 20 GiB of memory are free")
    config = BertConfig(
        vocab_size=280_000, hidden_size=2048, num_hidden_layers=1, num_attention_heads=16,
        intermediate_size=64, num_labels=7,
    )  # fmt: skip
    torch.manual_seed(1)
    model = BertForTokenClassification(config).eval()
    write_onnx(model, tmp_path / "model.onnx", "fp32", 20, 2_000_000_000)
    assert (tmp_path / "model.onnx.data").stat().st_size > 2**31
    forward = forward_of(open_session(tmp_path / "model.onnx", False, 1))
    assert difference(forward, torch_forward_of(model), 2, 16, True) < TOLERANCE["fp32"]


def test_a_place_with_spaces_and_chinese_characters(model, graphs, tmp_path):
    place = tmp_path / "命名 实体 (2)"
    shutil.copytree(graphs["fp32"], place)
    forward = forward_of(open_session(place / "model.onnx", False, 1))
    assert difference(forward, torch_forward_of(model), 2, 10, True) < TOLERANCE["fp32"]
    assert files_sha256(place) == files_sha256(graphs["fp32"])


# By ONNX Runtime's operators where they fit; Longformer, which torch cannot export, comes last.
ATTENTION = dict.fromkeys(
    ["BERT", "RoBERTa", "XLM-R", "CamemBERT", "ELECTRA", "ERNIE"], "Attention"
)
ATTENTION |= dict.fromkeys(["ALBERT", "DistilBERT", "EuroBERT"], "MultiHeadAttention")


@pytest.mark.slow  # two minutes; test_train_trial.py and test_families.py have a quick one each
@pytest.mark.parametrize(
    "name",
    [name for name in FAMILIES if name != "Longformer"],
)
def test_each_family(family, tmp_path, name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_pretrained(family(name), num_labels=7).eval()
    fused = write_onnx(model, tmp_path / "model.onnx", "fp32", 20, WHOLE)
    attention = {"Attention", "MultiHeadAttention"} & {*fused}
    assert attention == {ATTENTION[name]} if name in ATTENTION else not attention
    forward = forward_of(open_session(tmp_path / "model.onnx", False, 1))
    expected = torch_forward_of(model)
    for batch, length in ((1, 1), (1, 2), (3, 60), (2, 127)):
        for padding in (False, True):
            assert difference(forward, expected, batch, length, padding) < TOLERANCE["fp32"]


@pytest.mark.slow  # six seconds
def test_an_encoder_that_torch_cannot_export(family, tmp_path):
    model = AutoModelForTokenClassification.from_pretrained(family("Longformer"), num_labels=7)
    with pytest.raises(StageError) as error:
        write_onnx(model.eval(), tmp_path / "model.onnx", "fp32", 20, WHOLE)
    assert "\n" not in str(error.value)
    assert " cannot export an encoder of type longformer to ONNX (" in str(error.value)
    assert not (tmp_path / "model.onnx").exists()
