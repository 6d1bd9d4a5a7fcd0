"""The step of `benchmarks.training` by class of kernel, beside the least time each needs.

The least time is that of a class's FLOPs, or of the bytes that its kernels read and write, at the
peaks that one large matrix product and one large copy reach on the same GPU. Bytes are counted
as if each value were read and written once, with bf16 operands of products and sums, gradients
and optimizer in fp32, as autocast has them.
"""

from collections import Counter
from typing import Any

import torch
from transformers import PreTrainedModel

KINDS = {  # of kernels, by parts of their names
    "matrix products": ("gemm", "nvjet", "cutlass_80_tensorop", "cublas"),
    "attention": ("fmha", "attention", "flash", "efficient", "cudnn::fusion"),
    "optimizer and clipping": ("multi_tensor", "foreach", "FusedAdam", "fused_adam"),
}
REST = "norms, GELU, dropout, residuals, casts"


def kind_of(kernel: str) -> str:
    """The class of a kernel, by its name."""
    return next((k for k, parts in KINDS.items() if any(p in kernel for p in parts)), REST)


def table(
    kernels: list[dict[str, Any]], step_ms: float, tokens: int, model: PreTrainedModel, flops: float
) -> list[dict[str, Any]]:
    """A row a class of kernel: `ms` it took, `least_ms` it needs, the last for no kernel at all.

    Args:
        kernels: `name` and `ms` of all kernels of a step.
        step_ms: of the step by the clock.
        tokens: of the step, with padding.
        model: a BERT; its sizes decide the FLOPs and bytes.
        flops: the GPU's peak, in FLOP/s.
    """
    taken: Counter[str] = Counter()
    for kernel in kernels:
        taken[kind_of(kernel["name"])] += kernel["ms"]
    bandwidth = copy_peak_bytes()
    least = {
        kind: 1000 * max(work / flops, moved / bandwidth)
        for kind, (work, moved) in _needs(tokens, model).items()
    }
    rows = [
        {"class": kind, "ms": round(taken[kind], 2), "least_ms": round(least[kind], 2)}
        for kind in least
    ]
    between = max(0.0, step_ms - taken.total())  # kernels overlap, or were timed in slower steps
    return [*rows, {"class": "no kernel runs", "ms": round(between, 2), "least_ms": 0.0}]


def _needs(tokens: int, model: PreTrainedModel, row: int = 128) -> dict[str, tuple[float, float]]:
    """FLOPs and bytes of a step's forward and backward, a class."""
    width, layers = model.config.hidden_size, model.config.num_hidden_layers
    inner = model.config.intermediate_size
    matrices = layers * (4 * width**2 + 2 * width * inner)
    of_layers = tokens * layers
    # Forward: a norm reads a product (bf16) and the residual (fp32), writes its input for the
    # backward, its output and a bf16 copy. Backward: it reads the gradients of both and its
    # input, writes the gradients of residual and product.
    norm = (2 + 4 + 4 + 4 + 2) + (4 + 2 + 4 + 4 + 2)
    gelu = (2 + 2) + (2 + 2 + 2)
    return {
        "matrix products": (6.0 * matrices * tokens, 0.0),
        # Products of queries, keys and values: 2 forward, 5 backward. It reads and writes 4 and 8
        # bf16 values a position.
        "attention": (7 * 2.0 * of_layers * row * width, 12 * 2.0 * of_layers * width),
        # Reads weight, gradient and two moments, writes all but the gradient, and zeroes that;
        # clipping reads the gradient once more, and scales it.
        "optimizer and clipping": (0.0, (16 + 12 + 4 + 4 + 8) * float(model.num_parameters())),
        REST: (0.0, float(of_layers * (2 * norm * width + gelu * inner))),
    }


def copy_peak_bytes(size: int = 2**30, times: int = 20) -> float:
    """Bytes that one large copy on this GPU reads and writes a second."""
    source, target = (torch.empty(size, dtype=torch.uint8, device="cuda") for _ in range(2))
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    target.copy_(source)
    start.record()
    for _ in range(times):
        target.copy_(source)
    end.record()
    end.synchronize()
    return 2 * size * times / (start.elapsed_time(end) / 1000)
