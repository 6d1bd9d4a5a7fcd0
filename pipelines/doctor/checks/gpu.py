"""The driver, and each GPU as NVML sees it."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pipelines.doctor.checks.finding import Asked, Finding, Level

GIB = 2**30
FREE = 0.9  # the driver itself takes a little; a container may not see who takes more
NONE = (
    "run on a machine with an NVIDIA GPU (in a container: --gpus all), or give an overlay with"
    " train.device and evaluate.device cpu and export.require_cuda false"
)


def check(asked: Asked) -> Iterator[Finding]:
    """The driver, then a finding for each GPU with who else computes on it."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        yield asked.without_cuda("driver", "no NVIDIA driver is here", NONE)
        return
    except pynvml.NVMLError as error:
        yield Finding("driver", Level.ERROR, f"NVML says: {error}", "reboot, or install it anew")
        return
    major, rest = divmod(pynvml.nvmlSystemGetCudaDriverVersion_v2(), 1000)
    version = pynvml.nvmlSystemGetDriverVersion()
    yield Finding("driver", Level.OK, f"{version}, takes CUDA up to {major}.{rest // 10}")
    count = pynvml.nvmlDeviceGetCount()
    if count == 0:
        yield asked.without_cuda("GPU", "the driver sees no GPU", NONE)
    for index in range(count):
        yield _gpu(pynvml, index)


def _gpu(nvml: Any, index: int) -> Finding:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    capability = ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(handle)))
    said = (
        f"{nvml.nvmlDeviceGetName(handle)}, compute capability {capability},"
        f" {memory.free / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    )
    others = []
    with suppress(nvml.NVMLError):  # some virtual GPUs do not tell
        others = [
            _process(nvml, process) for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ]
    if not others and memory.free > FREE * memory.total:
        return Finding(f"GPU {index}", Level.OK, f"{said}, no other process on it")
    said += f", also used by {', '.join(others) or 'processes that cannot be seen from here'}"
    do = "wait for them or end them: they take memory and time from a run"
    return Finding(f"GPU {index}", Level.WARNING, said, do)


def _process(nvml: Any, process: Any) -> str:
    name = "a process"
    with suppress(nvml.NVMLError):  # of another user, or outside this container
        name = str(nvml.nvmlSystemGetProcessName(process.pid))
    used = process.usedGpuMemory
    return f"{name} {process.pid}" + (f" ({used / GIB:.1f} GiB)" if used else "")
