"""Checks the driver, and each GPU that NVML finds."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pipelines.doctor.checks.finding import Finding, Level, Requirements

GIB = 2**30
FREE = 0.9  # the driver takes a little; a container may not see which process takes more
NONE = (
    "run on a machine with an NVIDIA GPU (in a container: --gpus all), or give an overlay with"
    " train.device and evaluate.device cpu and export.require_cuda false"
)


def check(required: Requirements) -> Iterator[Finding]:
    """Yields a finding for the driver, then one for each GPU with its other processes."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        yield required.without_cuda("driver", "there is no NVIDIA driver", NONE)
        return
    except pynvml.NVMLError as error:
        yield Finding(
            "driver", Level.ERROR, f"NVML says: {error}", "reboot, or reinstall the driver"
        )
        return
    major, rest = divmod(pynvml.nvmlSystemGetCudaDriverVersion_v2(), 1000)
    version = pynvml.nvmlSystemGetDriverVersion()
    yield Finding("driver", Level.OK, f"{version}, supports CUDA up to {major}.{rest // 10}")
    count = pynvml.nvmlDeviceGetCount()
    if count == 0:
        yield required.without_cuda("GPU", "the driver finds no GPU", NONE)
    for index in range(count):
        yield _gpu(pynvml, index)


def _gpu(nvml: Any, index: int) -> Finding:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    capability = ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(handle)))
    message = (
        f"{nvml.nvmlDeviceGetName(handle)}, compute capability {capability},"
        f" {memory.free / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    )
    others = []
    with suppress(nvml.NVMLError):  # some virtual GPUs do not support this
        others = [
            _process(nvml, process) for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ]
    if not others and memory.free > FREE * memory.total:
        return Finding(f"GPU {index}", Level.OK, f"{message}, no other process on it")
    message += f", also used by {', '.join(others) or 'processes that are not visible from here'}"
    remedy = "wait for them or stop them: they slow down a run and take its memory"
    return Finding(f"GPU {index}", Level.WARNING, message, remedy)


def _process(nvml: Any, process: Any) -> str:
    name = "a process"
    with suppress(nvml.NVMLError):  # of another user, or outside this container
        name = str(nvml.nvmlSystemGetProcessName(process.pid))
    used = process.usedGpuMemory
    return f"{name} {process.pid}" + (f" ({used / GIB:.1f} GiB)" if used else "")
