"""Checks that ONNX Runtime and torch have the same CUDA, and runs a session."""

import ctypes
import runpy
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.doctor.checks.finding import Finding, Level, Requirements

SIZE = 64
OPSET, IR = 20, 10  # every ONNX Runtime since 1.18 reads these
GPU_PACKAGE = (
    "`pip uninstall onnxruntime onnxruntime-gpu`, then pip install -c constraints.txt"
    " onnxruntime-gpu: if both are installed, the one without CUDA may be imported"
)


def check(required: Requirements) -> Iterator[Finding]:
    """Yields a finding for the build, then one for a matrix product in a session."""
    import onnxruntime
    from onnxruntime.capi import build_and_package_info as build

    from stages.onnx_export import session

    built, torchs = getattr(build, "cuda_version", ""), _torch_cuda()
    message = f"{onnxruntime.__version__}, " + (
        f"CUDA {built}" if built else "a build without CUDA"
    )
    if session.CUDA not in onnxruntime.get_available_providers():
        yield required.without_cuda("onnxruntime", message, GPU_PACKAGE)
    elif torchs and torchs.partition(".")[0] != built.partition(".")[0]:
        message += f", but torch has CUDA {torchs}, so it may not find the CUDA libraries"
        remedy = "install the versions of constraints.txt, or of the image's lock"
        yield Finding("onnxruntime", Level.WARNING, message, remedy)
    else:
        yield Finding("onnxruntime", Level.OK, f"{message}" + (", as torch" if torchs else ""))
    yield _session(required)


def _torch_cuda() -> str | None:
    """The CUDA version of torch, read without importing torch, which takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    cuda = runpy.run_path(str(Path(spec.origin).with_name("version.py"))).get("cuda")
    return str(cuda) if cuda else None


def _session(required: Requirements) -> Finding:
    from stages.onnx_export import session

    left = np.arange(SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE) % 7
    with TemporaryDirectory() as folder:
        model = Path(folder) / "product.onnx"
        _write(model)
        opened = session.open_session(model, cuda=session.has_cuda(), cpu_threads=1)
        [found] = opened.run(None, {"left": left, "right": left.T.copy()})
    provider = opened.get_providers()[0]
    if not np.array_equal(found, left @ left.T):
        remedy = "install the versions of constraints.txt; if that does not help, replace the GPU"
        return Finding("ONNX session", Level.ERROR, f"{provider}: the product is wrong", remedy)
    if provider != session.CUDA and session.has_cuda():
        message = f"it fell back to {provider}{_why()}"
        remedy = "install what is missing, by the versions of constraints.txt or the image's lock"
        return required.without_cuda("ONNX session", message, remedy)
    return Finding("ONNX session", Level.OK, f"{provider}, correct product")


def _why() -> str:
    """The loader's error for the CUDA provider; ONNX Runtime only writes it to stderr."""
    import onnxruntime

    library = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return f" ({error})"
    return ""


def _write(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    shape = [SIZE, SIZE]
    names = ("left", "right", "product")
    left, right, product = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names
    )
    node = helper.make_node("MatMul", ["left", "right"], ["product"])
    graph = helper.make_graph([node], "product", [left, right], [product])
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=IR), path)
