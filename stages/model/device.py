"""Chooses the device and precision of torch, and makes its results repeatable."""

import os
from typing import Any

import torch

from stages.contract.errors import StageError


def choose_device(wanted: str, key: str, instead: str = "cpu") -> torch.device:
    """The device for `auto`, `cpu` or `cuda`.

    Args:
        wanted: one of the three.
        key: the parameter that has this value.
        instead: the value of `key` that needs no GPU.

    Raises:
        StageError: `cuda`, but there is no GPU.
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
    """True if computing in bf16, for `auto`, `fp32` or `bf16`.

    Raises:
        StageError: `bf16` on the CPU or on a GPU that does not have it.
    """
    on_gpu = device.type == "cuda"
    # Emulated bf16, which torch includes by default, is slower than fp32.
    supported = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not supported:
        raise StageError(
            "train.precision is bf16, which this device does not have:"
            f" {torch.cuda.get_device_name(device) if on_gpu else 'the CPU'};"
            " set it to auto or fp32"
        )
    return supported and precision != "fp32"


def make_repeatable(seed: int, cpu_threads: int, deterministic: bool) -> None:
    """Seeds torch and fixes its threads and algorithms, which also decide the results."""
    # cuBLAS reads it when first used: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(cpu_threads)
    torch.use_deterministic_algorithms(deterministic)
    # It would fill every new tensor with NaN, so that reads of unwritten memory are repeatable.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def device_figures(device: torch.device) -> dict[str, Any]:
    """The device, its GPU and memory peak, and torch's version, for `.measured`."""
    figures: dict[str, Any] = {"device": device.type, "torch": torch.__version__}
    if device.type == "cuda":
        figures["gpu"] = torch.cuda.get_device_name(device)
        figures["gpu_memory_peak_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return figures
