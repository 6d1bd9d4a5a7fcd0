"""Whether torch's CUDA is one that the driver takes, and a real product on each GPU."""

import ctypes
from collections.abc import Iterator
from typing import Any

from pipelines.doctor.checks.finding import Asked, Finding, Level

SIZE = 1024
CUDA_BUILD = "`rm -r .venv` and `make run` take the build with CUDA where there is a driver"


def check(asked: Asked) -> Iterator[Finding]:
    """The versions of torch, CUDA and cuDNN, then a finding for each GPU."""
    import torch

    built, takes = torch.version.cuda, driver_cuda()
    said = f"{torch.__version__}, " + (f"CUDA {built}" if built else "a build without CUDA")
    if built:
        said += f", cuDNN {_cudnn(torch)}"
    if not takes:
        yield Finding("torch", Level.OK, f"{said}; no driver to match")
        return
    if not built:
        yield asked.without_cuda("torch", said, CUDA_BUILD)
        return
    if int(built.partition(".")[0]) > takes[0]:
        do = f"install a driver for CUDA {built}, or take the image with an older CUDA"
        said += f", but the driver takes {takes[0]}.{takes[1]} at most"
        yield asked.without_cuda("torch", said, do)
        return
    yield Finding("torch", Level.OK, f"{said}; the driver takes it")
    try:
        torch.zeros(1, device="cuda")
    except RuntimeError as error:
        said = f"torch cannot use CUDA ({' '.join(str(error).split())})"
        yield asked.without_cuda("torch on CUDA", said, "see `nvidia-smi`, CUDA_VISIBLE_DEVICES")
        return
    for index in range(torch.cuda.device_count()):
        yield _product(torch, index)


def driver_cuda() -> tuple[int, int] | None:
    """The highest CUDA that the driver takes; None where there is no driver."""
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
    # Whole numbers small enough to be exact whatever the precision of the product.
    left = (torch.arange(SIZE * SIZE) % 7).reshape(SIZE, SIZE).float()
    right = left.T.contiguous()
    try:
        found = (left.to(f"cuda:{index}") @ right.to(f"cuda:{index}")).cpu()
    except RuntimeError as error:
        do = "free its memory; else it is too old for this torch, or broken: see `dmesg`"
        return Finding(name, Level.ERROR, " ".join(str(error).split()), do)
    if not torch.equal(found, left @ right):
        return Finding(name, Level.ERROR, "the product is wrong", "take this GPU out of service")
    return Finding(name, Level.OK, f"{SIZE} x {SIZE}, equal to the CPU's")
