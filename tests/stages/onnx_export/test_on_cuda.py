"""What only a GPU can show. Nothing here needs more than torch, transformers, onnx and pytest:

python -m pytest --noconftest -o addopts= -p no:randomly tests/stages/onnx_export/test_on_cuda.py
"""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, save

from stages.contract.errors import StageError
from stages.model.tagger import forward_of as torch_forward_of
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.placement import RECORD, placed, require_cuda, shape_nodes
from stages.onnx_export.session import CPU, CUDA, forward_of, open_session
from tests.stages.onnx_export.parity import a_model, difference

pytestmark = pytest.mark.gpu
WHOLE = 2**31 - 1
TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 1e-1}


def refused(session):
    with pytest.raises(StageError) as error:
        require_cuda(session.get_providers(), placed(session), ())
    return str(error.value)


def write_graph(path, operator, **attributes):
    """x, float [2, 2] → `operator` → y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(operator, ["x"], ["y"], name="the_node", **attributes)
    graph = helper.make_graph([node], "g", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def test_an_operator_without_a_cuda_kernel(tmp_path):
    write_graph(tmp_path / "g.onnx", "Det")
    session = open_session(tmp_path / "g.onnx", True, 1, entries=RECORD)
    assert session.get_providers() == [CUDA, CPU]
    said = refused(session)
    assert "the_node, operator Det, on CPUExecutionProvider" in said


def test_the_wrong_order_puts_all_on_the_cpu(tmp_path):
    write_graph(tmp_path / "g.onnx", "Relu")
    options = ort.SessionOptions()
    options.add_session_config_entry(*next(iter(RECORD.items())))
    ort.preload_dlls()
    session = ort.InferenceSession(tmp_path / "g.onnx", options, providers=[CPU, CUDA])
    assert [node.provider for node in placed(session)] == [CPU]
    assert "must come first" in refused(session)
    right = open_session(tmp_path / "g.onnx", True, 1, entries=RECORD)
    assert [node.provider for node in placed(right)] == [CUDA]
    assert right.run(None, {"x": np.ones((2, 2), np.float32)})[0].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("precision", TOLERANCE)
def test_any_shape(precision, tmp_path):
    model = a_model()
    write_onnx(model, tmp_path / "model.onnx", precision, 20, WHOLE)
    session = open_session(tmp_path / "model.onnx", True, 1, entries=RECORD)
    require_cuda(session.get_providers(), placed(session), shape_nodes(tmp_path / "model.onnx"))
    forward, expected = forward_of(session), torch_forward_of(model)
    for batch, length in [(1, 1), (1, 2), (2, 7), (3, 63), (8, 64), (256, 65), (32, 511), (9, 512)]:
        for padding in (False, True):
            found = difference(forward, expected, batch, length, padding)
            assert found < TOLERANCE[precision], (batch, length, padding)


def test_the_largest(tmp_path):
    model = a_model()
    write_onnx(model, tmp_path / "model.onnx", "fp16", 20, WHOLE)
    forward = forward_of(open_session(tmp_path / "model.onnx", True, 1))
    expected = torch_forward_of(model.to("cuda"))
    assert difference(forward, expected, 256, 512, True) < TOLERANCE["fp16"]


def test_int8_is_refused(tmp_path):
    write_onnx(a_model(), tmp_path / "model.onnx", "int8", 20, WHOLE)
    said = refused(open_session(tmp_path / "model.onnx", True, 1, entries=RECORD))
    assert "dynamic quantisation is for the CPU" in said
