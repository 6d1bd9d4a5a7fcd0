"""Checks that the driver supports torch's CUDA, and computes a product on each GPU."""

import ctypes
from collections.abc import Iterator
from typing import Any

from pipelines.doctor.checks.finding import Finding, Level, Requirements

SIZE = 1024
CUDA_BUILD = "`rm -r .venv` and `make run` install the build with CUDA if there is a driver"


def check(required: Requirements) -> Iterator[Finding]:
    """Yields a finding for torch, CUDA and cuDNN, then one for each GPU."""
    import torch

    built, supported = torch.version.cuda, driver_cuda()
    message = f"{torch.__version__}, " + (f"CUDA {built}" if built else "a build without CUDA")
    if built:
        message += f", cuDNN {_cudnn(torch)}"
    if not supported:
        yield Finding("torch", Level.OK, f"{message}; there is no driver")
        return
    if not built:
        yield required.without_cuda("torch", message, CUDA_BUILD)
        return
    if int(built.partition(".")[0]) > supported[0]:
        remedy = f"install a driver for CUDA {built}, or use the image with an older CUDA"
        message += f", but the driver supports at most {supported[0]}.{supported[1]}"
        yield required.without_cuda("torch", message, remedy)
        return
    yield Finding("torch", Level.OK, f"{message}; the driver supports it")
    try:
        torch.zeros(1, device="cuda")
    except RuntimeError as error:
        message = f"torch cannot use CUDA ({' '.join(str(error).split())})"
        yield required.without_cuda(
            "torch on CUDA", message, "see `nvidia-smi`, CUDA_VISIBLE_DEVICES"
        )
        return
    for index in range(torch.cuda.device_count()):
        yield _product(torch, index)


def driver_cuda() -> tuple[int, int] | None:
    """The highest CUDA that the driver supports; None if there is no driver."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return None
    return version.value // 1000, version.value % 1000 // 10


def _cudnn(torch: Any) -> str:
    version = torch.backends.cudnn.version() or 0  # 91900 is 9.19.0
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}" if version else "none"


def _product(torch: Any, index: int) -> Finding:
    name = f"matmul on GPU {index}"
    # Integers that are small enough to be exact in any precision of the product.
    left = (torch.arange(SIZE * SIZE) % 7).reshape(SIZE, SIZE).float()
    right = left.T.contiguous()
    try:
        found = (left.to(f"cuda:{index}") @ right.to(f"cuda:{index}")).cpu()
    except RuntimeError as error:
        remedy = "free its memory; otherwise it is too old for this torch, or broken: see `dmesg`"
        return Finding(name, Level.ERROR, " ".join(str(error).split()), remedy)
    if not torch.equal(found, left @ right):
        return Finding(name, Level.ERROR, "the product is wrong", "take this GPU out of service")
    return Finding(name, Level.OK, f"{SIZE} x {SIZE}, same result as on the CPU")
