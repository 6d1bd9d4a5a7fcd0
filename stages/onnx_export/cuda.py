"""Finds out why ONNX Runtime cannot use CUDA."""

import re
import signal
import subprocess
import sys

import onnxruntime as ort
from onnx import TensorProto, helper

from stages.onnx_export.session import CUDA

TRY = """
import sys, onnxruntime as ort
ort.preload_dlls()
ort.set_default_logger_severity(2)
session = ort.InferenceSession(sys.stdin.buffer.read(), providers=sys.argv[1:])
sys.exit(session.get_providers()[0] != sys.argv[1])
"""
# Library → the package on PyPI, or the driver, that has it.
PROVIDED_BY = {
    "libcuda.so": "the NVIDIA driver (see `nvidia-smi`)",
    "libcublas": "nvidia-cublas",
    "libcudart": "nvidia-cuda-runtime",
    "libcudnn": "nvidia-cudnn-cu13",
    "libcufft": "nvidia-cufft",
    "libcurand": "nvidia-curand",
    "libnvJitLink": "nvidia-nvjitlink",
    "libnvrtc": "nvidia-cuda-nvrtc",
}


def cuda_problem() -> str | None:
    """The library that fails to load and what to install; None: CUDA works."""
    if CUDA not in ort.get_available_providers():
        return f"onnxruntime {ort.__version__} is a CPU build; install onnxruntime-gpu instead"
    # In another process, because a truncated library kills the loader and its process.
    tried = subprocess.run(
        [sys.executable, "-c", TRY, CUDA, "CPUExecutionProvider"],
        input=_identity(),
        capture_output=True,
        check=False,
    )
    if not tried.returncode:
        return None
    again = f"install onnxruntime-gpu=={ort.__version__} again"
    if tried.returncode < 0:
        name = signal.Signals(-tried.returncode).name
        return f"loading libonnxruntime_providers_cuda.so ends with {name}; {again}"
    printed = tried.stderr.decode(errors="replace")
    found = re.search(r"Failed to load library (\S+) with error: (.*)", printed)
    if not found:
        words = [line for line in printed.splitlines() if line.strip()]
        return (words or ["it gave no reason"])[-1]
    library, error = found[1].rpartition("/")[2], found[2].strip()
    missing = [what for name, what in PROVIDED_BY.items() if error.startswith(name)]
    return f"{library} does not load ({error}); " + (f"install {missing[0]}" if missing else again)


def _identity() -> bytes:
    """The smallest possible ONNX model."""
    axis = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", axis[:1], axis[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content
