"""Opens ONNX Runtime sessions with numpy arrays in and out."""

import ctypes
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..model.emissions import Forward

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


def has_cuda() -> bool:
    """Whether ONNX Runtime is built with CUDA and an NVIDIA driver is installed."""
    if CUDA not in ort.get_available_providers():
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def open_session(
    model: Path,
    cuda: bool,
    cpu_threads: int | None = None,
    *,
    entries: Mapping[str, str] | None = None,
    profile: Path | None = None,
) -> ort.InferenceSession:
    """Opens `model`, with CUDA as the first provider if `cuda` is true.

    ONNX Runtime falls back to the CPU without an error: check `get_providers()[0]`.

    Args:
        model: The ONNX file.
        cuda: True: the CUDA provider, then the CPU's.
        cpu_threads: Within an operator; None: ONNX Runtime's choice.
        entries: Session configuration, key → value.
        profile: Prefix of the JSON file that `end_profiling` writes; None: no profile.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3  # its warnings are about its own optimisations
    if cpu_threads is not None:
        options.intra_op_num_threads = cpu_threads
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    providers: list[str | tuple[str, dict[str, str]]] = [CPU]
    if cuda:
        # CUDA's libraries are in the wheels of torch or nvidia, outside the loader's path.
        with redirect_stdout(sys.stderr):  # it prints the libraries that it does not find
            ort.preload_dlls()
        # TF32 would change fp32 logits by up to 1.5e-3.
        providers.insert(0, (CUDA, {"use_tf32": "0"}))
    # On a CPU the fused operator takes twice the time of its parts.
    slow = [] if cuda else ["SkipLayerNormFusion"]
    return ort.InferenceSession(model, options, providers=providers, disabled_optimizers=slow)


def forward_of(session: ort.InferenceSession) -> Forward:
    """The session as `stages.model.emissions.Forward`."""

    def forward(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        [logits] = session.run(None, {"input_ids": ids, "attention_mask": mask})
        result: NDArray[np.float32] = logits
        return result

    return forward
