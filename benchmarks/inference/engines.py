"""The engines: each as numpy in, numpy out, and bound to its device."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from stages.model.emissions import Forward
from stages.model.tagger import forward_of as torch_forward_of
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.session import CPU, CUDA
from stages.onnx_export.session import forward_of as onnx_forward_of


@dataclass(frozen=True)
class Engine:
    """One way to run the model."""

    forward: Forward
    """From and to the host's memory."""
    bound: Callable[[int, int], Callable[[], object]]
    """For a batch and a length: a call whose input and output stay on the device."""
    fixed_shapes_only: bool = False


def torch_engine(
    model: Any, _folder: Path, _threads: int, device: str, compiled_bf16: bool
) -> Engine:
    """Transformers' own model, eager in fp32 or compiled in bf16."""
    model = model.to(device)
    if compiled_bf16:
        model = copy.deepcopy(model).to(torch.bfloat16)
        model.forward = torch.compile(model.forward, dynamic=True)

    def bound(batch: int, tokens: int) -> Callable[[], object]:
        ids, mask = (torch.from_numpy(each).to(device) for each in example(batch, tokens))

        @torch.inference_mode()
        def call() -> None:
            model(input_ids=ids, attention_mask=mask)
            if device == "cuda":
                torch.cuda.synchronize()

        return call

    return Engine(torch_forward_of(model), bound)


def onnx_engine(
    model: Any,
    folder: Path,
    threads: int,
    device: str,
    precision: str,
    tf32: bool = False,
    graph: bool = False,
) -> Engine:
    """What `export` writes, by IO binding; `graph`: the whole call as one CUDA graph a shape."""
    path = folder / f"{precision}.onnx"
    if not path.exists():
        write_onnx(model, path, precision, 20, 2**31 - 1)

    def session(graph: bool) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        asked: list[Any] = [CPU]
        if device == "cuda":
            own = {"use_tf32": str(int(tf32)), "enable_cuda_graph": str(int(graph))}
            asked.insert(0, (CUDA, own))
        made = ort.InferenceSession(path, options, providers=asked)
        if device == "cuda" and made.get_providers()[0] != CUDA:
            raise SystemExit(f"ONNX Runtime fell back to {made.get_providers()}")
        return made

    if device == "cuda":
        ort.preload_dlls()
    own = None if graph else session(False)

    def bound(batch: int, tokens: int) -> Callable[[], object]:
        # A captured graph belongs to a session's addresses: so a session a shape.
        used = own or session(True)
        binding = used.io_binding()
        names = ("input_ids", "attention_mask")
        inputs = [ort.OrtValue.ortvalue_from_numpy(e, device, 0) for e in example(batch, tokens)]
        logits = np.zeros((batch, tokens, model.config.num_labels), np.float32)
        output = ort.OrtValue.ortvalue_from_numpy(logits, device, 0)
        for name, value in zip(names, inputs, strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("logits", output)

        def call() -> None:
            used.run_with_iobinding(binding)

        call.keeps = inputs, output  # type: ignore[attr-defined]
        return call

    forward = onnx_forward_of(own) if own else lambda *_: np.empty(0, np.float32)
    return Engine(forward, bound, fixed_shapes_only=graph)


def example(batch: int, tokens: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask without padding."""
    ids = np.random.default_rng(0).integers(1, 2000, size=(batch, tokens))
    return ids, np.ones_like(ids)


def kernels(engine: Engine, batch: int, tokens: int) -> list[dict[str, Any]]:
    """Where the GPU's time goes: kernels by their share, the first twelve."""
    from torch.profiler import ProfilerActivity, profile

    call = engine.bound(batch, tokens)
    call()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(5):
            call()
    rows = [(row.key, row.self_device_time_total, row.count) for row in found.key_averages()]
    total = sum(us for _, us, _ in rows) or 1
    rows.sort(key=lambda row: -row[1])
    return [
        {"kernel": key[:120], "share": round(us / total, 4), "calls": count // 5}
        for key, us, count in rows[:12]
    ]


def _engines(device: str) -> dict[str, Callable[[Any, Path, int], Engine]]:
    onnx = partial(onnx_engine, device=device)
    eager = partial(torch_engine, device=device)
    if device == "cpu":
        return {
            "torch_fp32": partial(eager, compiled_bf16=False),
            "onnx_fp32": partial(onnx, precision="fp32"),
            "onnx_int8": partial(onnx, precision="int8"),
        }
    return {
        "torch_fp32": partial(eager, compiled_bf16=False),
        "torch_bf16_compiled": partial(eager, compiled_bf16=True),
        "onnx_fp32": partial(onnx, precision="fp32"),
        "onnx_tf32": partial(onnx, precision="fp32", tf32=True),
        "onnx_fp16": partial(onnx, precision="fp16"),
        "onnx_fp16_graph": partial(onnx, precision="fp16", graph=True),
    }


ENGINES = {device: _engines(device) for device in ("cuda", "cpu")}
