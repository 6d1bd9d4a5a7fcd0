"""Reads from ONNX Runtime which provider runs each node of a graph."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from onnx import TensorProto

from stages.contract.errors import StageError
from stages.onnx_export.cuda import cuda_problem
from stages.onnx_export.session import CPU, CUDA

RECORD = {"session.record_ep_graph_assignment_info": "1"}
"""For `open_session`: without it ONNX Runtime does not record the provider of a node."""
WHOLE_NUMBERS = {TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL}
TYPED = {"to", "value"}  # the attributes of Cast, Constant and ConstantOfShape with a type


@dataclass(frozen=True)
class Placed:
    """A node and its provider."""

    provider: str
    operator: str
    name: str
    domain: str = ""


def placed(session: ort.InferenceSession) -> list[Placed]:
    """All nodes of a session opened with `RECORD`, in the order of the graph."""
    return [
        Placed(part.ep_name, node.op_type, node.name, node.domain)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def per_provider(nodes: Sequence[Placed]) -> dict[str, int]:
    """The number of nodes of each provider."""
    return dict(sorted(Counter(node.provider for node in nodes).items()))


def shape_nodes(model: Path) -> set[str]:
    """The names of the nodes that compute with shapes alone, which CUDA leaves to the CPU.

    Nothing reaches them but `Shape` and constants, and all are whole numbers: to look positions up
    in a table of floats is no such node.
    """
    graph = onnx.load(model, load_external_data=False).graph
    known = {tensor.name for tensor in graph.initializer if tensor.data_type in WHOLE_NUMBERS}
    shapes, names = set[str](), set[str]()
    for node in graph.node:  # each comes after those that it reads from
        inputs = {name for name in node.input if name}
        whole = {
            a.i if a.name == "to" else a.t.data_type for a in node.attribute if a.name in TYPED
        }
        if whole - WHOLE_NUMBERS:
            continue
        if node.op_type == "Shape" or (inputs & shapes and inputs <= known | shapes):
            shapes |= {*node.output}
            names.add(node.name)
        elif inputs <= known:
            known |= {*node.output}
    return names


def require_cuda(
    providers: Sequence[str], nodes: Sequence[Placed], shapes: Collection[str]
) -> None:
    """Checks that CUDA runs the graph, but for the nodes of `shapes`.

    Args:
        providers: Of the session, in its order.
        nodes: All nodes of the graph.
        shapes: The names of the nodes that may be on the CPU.

    Raises:
        StageError: CUDA is missing or not first; a node is elsewhere. The message has its name,
            operator and the likely cause.
    """
    if CUDA not in providers:
        raise StageError(
            f"export.require_cuda is true, but ONNX Runtime {ort.__version__} fell back to"
            f" {', '.join(providers)}: {cuda_problem() or 'it gave no reason'}; or set"
            " export.require_cuda: false"
        )
    if providers[0] != CUDA:
        raise StageError(
            f"the session's providers are {', '.join(providers)}: {CUDA} must come first, or"
            f" {providers[0]} takes the nodes; open it by stages.onnx_export.session.open_session"
        )
    wrong = misplaced(nodes, shapes)
    if wrong:
        node = wrong[0]
        raise StageError(
            f"{len(wrong)} of {len(nodes)} nodes are not on {CUDA}, the first of them"
            f" {node.name or 'without a name'}, operator {node.operator}, on {node.provider}:"
            f" {_cause(node)}"
        )
    if not any(node.provider == CUDA for node in nodes):
        raise StageError(f"none of {len(nodes)} nodes is on {CUDA}; is this the right model?")


def misplaced(nodes: Sequence[Placed], shapes: Collection[str]) -> list[Placed]:
    """The nodes that are neither on CUDA nor, as one of `shapes`, on the CPU."""
    return [
        node
        for node in nodes
        if node.provider != CUDA and not (node.provider == CPU and node.name in shapes)
    ]


def profiled(profile: Path) -> dict[str, Any]:
    """Reads a profile of ONNX Runtime.

    Returns:
        Each provider's share of the nodes' time (on CUDA the time to launch them), and the number
        of distinct nodes that copy between CPU and GPU.
    """
    seconds: Counter[str] = Counter()
    copies = set()
    for event in json.loads(profile.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            seconds[event["args"]["provider"]] += event["dur"]
            if event["args"]["op_name"].startswith("Memcpy"):
                copies.add(event["name"])
    total = max(sum(seconds.values()), 1)
    return {
        "time_share_per_provider": {p: round(n / total, 4) for p, n in sorted(seconds.items())},
        "copying_nodes": len(copies),
    }


def _cause(node: Placed) -> str:
    if node.provider != CPU:
        return f"{node.provider} was put before it; ask for {CUDA} and {CPU} alone"
    if "Quantize" in node.operator or node.operator.endswith("Integer"):
        return "dynamic quantisation is for the CPU; set export.precision: fp16 or fp32"
    domain = node.domain or "ai.onnx"
    return (
        f"ONNX Runtime {ort.__version__} has no CUDA kernel for {domain} {node.operator} with these"
        " types and this opset; try another export.opset or export.precision"
    )
