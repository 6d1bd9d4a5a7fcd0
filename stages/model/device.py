"""Chooses the device and precision of torch, and makes it repeatable."""

import os
from typing import Any

import torch

from stages.contract.errors import StageError


def choose_device(wanted: str, key: str, instead: str = "cpu") -> torch.device:
    """The device for `auto`, `cpu` or `cuda`.

    Args:
        wanted: one of the three.
        key: of the parameter that asks for it.
        instead: the value of `key` that does without a GPU.

    Raises:
        StageError: `cuda` without one, with what was found.
    """
    if torch.cuda.is_available() and wanted != "cpu":
        return torch.device("cuda")
    if wanted == "cuda":
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
        raise StageError(
            f"{key} asks for CUDA, but torch {torch.__version__} ({build}) finds no CUDA GPU;"
            f" see `nvidia-smi`, or set {key}: {instead}"
        )
    return torch.device("cpu")


def choose_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16, for `auto`, `fp32` or `bf16`.

    Raises:
        StageError: `bf16` where no GPU has it, the CPU included.
    """
    on_gpu = device.type == "cuda"
    # By default it also counts GPUs that only emulate bf16, which is slower than fp32.
    has_it = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not has_it:
        raise StageError(
            "train.precision is bf16, which needs a GPU that has it, and this is"
            f" {torch.cuda.get_device_name(device) if on_gpu else 'the CPU'};"
            " set it to auto or fp32"
        )
    return has_it and precision != "fp32"


def make_repeatable(seed: int, cpu_threads: int, deterministic: bool) -> None:
    """Seeds torch and fixes what else decides its results: threads, algorithms."""
    # cuBLAS reads it at its first use: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(cpu_threads)
    torch.use_deterministic_algorithms(deterministic)
    # It would fill every new tensor with NaN, to make a read of memory that none wrote repeatable.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def device_figures(device: torch.device) -> dict[str, Any]:
    """What `.measured` keeps of torch and its device."""
    figures: dict[str, Any] = {"device": device.type, "torch": torch.__version__}
    if device.type == "cuda":
        figures["gpu"] = torch.cuda.get_device_name(device)
        figures["gpu_memory_peak_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return figures
