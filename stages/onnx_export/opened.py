"""Opens an exported model as the section `export` asks, and checks where its nodes run."""

from pathlib import Path
from typing import Any

import onnxruntime as ort
import torch

from stages.contract.errors import StageError
from stages.model.device import choose_device
from stages.onnx_export.cuda import cuda_problem
from stages.onnx_export.placement import RECORD, per_provider, placed, require_cuda, shape_nodes
from stages.onnx_export.session import CPU, CUDA, open_session
from stages.params.export import Export


def device_of(params: Export) -> torch.device:
    """The device that the exported model is for.

    Raises:
        StageError: `require_cuda`, but ONNX Runtime or torch gets no CUDA.
    """
    if params.require_cuda and (problem := cuda_problem()):
        raise StageError(
            f"export.require_cuda is true, but ONNX Runtime {ort.__version__} gets no CUDA:"
            f" {problem}, or set export.require_cuda: false"
        )
    wanted = "cuda" if params.require_cuda else "cpu"
    return choose_device(wanted, "export.require_cuda", instead="false")


def opened(params: Export, model: Path, profile: Path | None = None) -> ort.InferenceSession:
    """A session of `model`, which writes a profile if that names one.

    Raises:
        StageError: ONNX Runtime cannot open it.
    """
    try:
        return open_session(
            model, params.require_cuda, params.cpu_threads, entries=RECORD, profile=profile
        )
    except Exception as error:  # ONNX Runtime's own errors have no other class in common
        raise StageError(not_opened(params, " ".join(str(error).split()))) from None


def not_opened(params: Export, cause: str) -> str:
    """Says why ONNX Runtime did not open the model, and what to set."""
    where = "the CUDA provider" if params.require_cuda else "the CPU"
    remedy = "set export.precision: fp32"
    if params.precision == "fp32":
        remedy = f"try another export.opset (now {params.opset})"
        remedy += ", or set export.require_cuda: false" if params.require_cuda else ""
    return (
        f"ONNX Runtime {ort.__version__} cannot open the {params.precision} model on {where}"
        f" ({cause}); {remedy}"
    )


def placement(params: Export, session: ort.InferenceSession, model: Path) -> dict[str, Any]:
    """The providers of the session of `model`, and their nodes.

    Raises:
        StageError: `require_cuda`, and a node that computes is elsewhere.
    """
    nodes = placed(session)
    if params.require_cuda:
        require_cuda(session.get_providers(), nodes, shape_nodes(model))
    return {
        "providers_asked": [CUDA, CPU] if params.require_cuda else [CPU],
        "providers_got": session.get_providers(),
        "cuda_validated": params.require_cuda,
        "nodes_per_provider": per_provider(nodes),
        "cpu_nodes_not_allowed": [],  # `require_cuda` refuses any
    }
