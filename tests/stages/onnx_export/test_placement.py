"""Who runs what: real assignments of real sessions, and those that must be refused."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from stages.contract.errors import StageError
from stages.onnx_export.placement import (
    RECORD,
    Placed,
    misplaced,
    per_provider,
    placed,
    require_cuda,
    shape_nodes,
)
from stages.onnx_export.session import CPU, CUDA, open_session
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def on_cpu(tiny):
    """All nodes of the tiny model, on the CPU."""
    return placed(open_session(tiny.onnx / "model.onnx", False, 1, entries=RECORD))


@pytest.fixture(scope="module")
def shapes(tiny):
    return shape_nodes(tiny.onnx / "model.onnx")


def moved(nodes, *stay):
    """`nodes` as CUDA would have them, but for the operators `stay`."""
    return [
        node if node.operator in stay else Placed(CUDA, node.operator, node.name, node.domain)
        for node in nodes
    ]


def refused(*given):
    with pytest.raises(StageError) as error:
        require_cuda(*given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_node_is_accounted_for(tiny, on_cpu):
    assert per_provider(on_cpu) == {CPU: len(on_cpu)}
    assert tiny.json("export.json")["nodes_per_provider"] == per_provider(on_cpu)
    operators = [node.operator for node in on_cpu]
    assert "SkipLayerNormalization" not in operators  # slow on a CPU
    assert operators.count("Attention") == tiny.json("export.json")["fused_operators"]["Attention"]
    assert {node.domain for node in on_cpu if node.operator == "Attention"} == {"com.microsoft"}
    assert all(node.name for node in on_cpu)


def test_shapes_may_stay_on_the_cpu(on_cpu, shapes):
    nodes = moved(on_cpu, "Shape")
    assert any(node.provider == CPU for node in nodes)
    require_cuda([CUDA, CPU], nodes, shapes)
    assert misplaced(nodes, shapes) == []
    said = refused([CUDA, CPU], nodes, ())
    assert ", operator Shape, on CPUExecutionProvider: " in said


def test_what_computes_with_shapes_alone(tmp_path):
    """Two other Gathers look a float up, one by the length; Identity passes a constant on."""
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    table = helper.make_tensor("table", TensorProto.FLOAT, [2, 1], [1.0, 2.0])
    nodes = [
        helper.make_node("Shape", ["ids"], ["shape"], name="shape"),
        helper.make_node("Identity", ["zero"], ["same"], name="constant"),
        helper.make_node("Gather", ["shape", "same"], ["batch"], name="batch"),
        helper.make_node("Gather", ["table", "batch"], ["place"], name="place"),
        helper.make_node("Cast", ["batch"], ["float"], name="float", to=TensorProto.FLOAT),
        helper.make_node("Concat", ["batch", "zero"], ["both"], name="both", axis=0),
        helper.make_node("Gather", ["table", "ids"], ["looked_up"], name="looked_up"),
        helper.make_node("Reshape", ["looked_up", "both"], ["out"], name="reshape"),
    ]
    graph = helper.make_graph(nodes, "g", [ids], [out], [zero, table])
    onnx.save(helper.make_model(graph), tmp_path / "g.onnx")
    assert shape_nodes(tmp_path / "g.onnx") == {"shape", "batch", "both"}


@pytest.mark.parametrize("operator", ["Attention", "MatMul", "Gather", "LayerNormalization"])
def test_another_operator_may_not(on_cpu, shapes, operator):
    nodes = moved(on_cpu, operator)
    wrong = [node for node in on_cpu if node.operator == operator]
    assert misplaced(nodes, shapes) == wrong
    said = refused([CUDA, CPU], nodes, shapes)
    assert said.startswith(
        f"{len(wrong)} of {len(nodes)} nodes are not on CUDAExecutionProvider, the first of them"
        f" {wrong[0].name}, operator {operator}, on CPUExecutionProvider: ONNX Runtime"
    )


def test_a_provider_that_nobody_asked_for(on_cpu, shapes):
    nodes = [*moved(on_cpu), Placed("TensorrtExecutionProvider", "Shape", "n")]
    assert "operator Shape, on TensorrtExecutionProvider: " in refused([CUDA, CPU], nodes, shapes)


def test_a_quantised_operator_has_its_own_cause(shapes):
    said = refused([CUDA, CPU], [Placed(CPU, "DynamicQuantizeLinear", "n")], shapes)
    assert said.endswith("dynamic quantisation is for the CPU; set export.precision: fp16 or fp32")


def test_a_session_that_fell_back_without_a_word(tiny, on_cpu, cpu_only, shapes):
    session = open_session(tiny.onnx / "model.onnx", True, 1, entries=RECORD)
    assert session.get_providers() == [CPU]
    said = refused(session.get_providers(), placed(session), shapes)
    assert " fell back to CPUExecutionProvider: libonnxruntime_providers_cuda.so does not" in said


def test_providers_in_the_wrong_order(on_cpu, shapes):
    assert refused([CPU, CUDA], on_cpu, shapes).startswith(
        "the session's providers are CPUExecutionProvider, CUDAExecutionProvider:"
        " CUDAExecutionProvider must come first"
    )


def test_no_node_on_cuda():
    assert refused([CUDA, CPU], [Placed(CPU, "Shape", "n")], {"n"}).startswith("none of 1 nodes")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda library, content: library.write_bytes(content), " ends with SIGBUS; install"),
        (lambda library, _: library.write_bytes(b"nothing"), "file too short"),
        (lambda library, _: library.write_bytes(b"x" * 10_000), "invalid ELF header"),
        (lambda *_: None, "cannot open shared object file"),
    ],
    ids=["cut off", "empty", "another", "missing"],
)
def test_a_library_that_is_not_what_was_installed(tmp_path, harm, said):
    package = Path(ort.__file__).parent
    for path in package.rglob("*"):
        if path.is_file() and not {"transformers", "quantization", "tools"} & {*path.parts}:
            copy = tmp_path / "onnxruntime" / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path)
    library = tmp_path / "onnxruntime/capi/libonnxruntime_providers_cuda.so"
    with library.open("rb") as file:
        content = file.read(100_000)
    library.unlink()
    harm(library, content)
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from stages.onnx_export.cuda import cuda_problem; print(cuda_problem())",
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said in told
    assert told.endswith(f"install onnxruntime-gpu=={ort.__version__} again\n")
