"""Exports the tagger as an ONNX graph with ONNX Runtime's fused operators.

Attention takes the length of each window instead of a mask, so that CUDA has a fused kernel for
every length. Padding must therefore come after the tokens, as in `stages.model.batches.padded`.
Before torch 2.8 attention stays in separate operators, with a mask.
"""

import copy
import logging
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from stages.contract.errors import StageError

FUSED = "onnxruntime_fused"
DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": torch.float32,  # quantised afterwards
}


def write_onnx(
    model: PreTrainedModel, path: Path, precision: str, opset: int, one_file_bytes: int
) -> dict[str, int]:
    """Writes `model` to `path`: ids and mask, both int64 [batch, length] → fp32 logits.

    More than `one_file_bytes` of weights go to `path` + `.data`: protobuf is limited to 2 GiB.

    Returns:
        Number of each of ONNX Runtime's own operators.

    Raises:
        StageError: torch exports no program; the encoder is not like BERT.
    """
    proto = _fuse_rest(_exported(model, DTYPES[precision], opset))
    if precision == "int8":
        proto = _quantised(proto)
    _remove_paths(proto)
    external = sum(len(tensor.raw_data) for tensor in proto.graph.initializer) > one_file_bytes
    operators = Counter(n.op_type for n in proto.graph.node if n.domain == "com.microsoft")
    onnx.save(
        proto,
        path,
        save_as_external_data=external,
        all_tensors_to_one_file=True,
        location=f"{path.name}.data",
    )
    return dict(sorted(operators.items()))


class _Logits(nn.Module):
    """The model with tensors in and out."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=torch.zeros_like(input_ids),
        ).logits
        return logits.float()


class _Attention(nn.Module):
    """Replaces BERT's self-attention by one operator, from hidden states to the heads' outputs."""

    def __init__(self, own: Any) -> None:
        super().__init__()
        parts = (own.query, own.key, own.value)
        self.heads = int(own.num_attention_heads)
        self.weight = nn.Parameter(torch.cat([part.weight for part in parts]).T.contiguous())
        self.bias = nn.Parameter(torch.cat([part.bias for part in parts]))

    def forward(
        self, hidden: torch.Tensor, attention_mask: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, None]:
        result = torch.onnx.ops.symbolic(
            "com.microsoft::Attention",
            (hidden, self.weight, self.bias, attention_mask),
            {"num_heads": self.heads},
            dtype=hidden.dtype,
            shape=hidden.shape,
            version=1,
        )
        return result, None


def _window_lengths(attention_mask: torch.Tensor, dtype: torch.dtype, **_: Any) -> torch.Tensor:
    """Attention's `mask_index`, int32: the windows' lengths [batch].

    At 16 bits [3 * batch + 2]: also the starts of the windows among the queries and keys, which
    CUDA's fused kernel needs. In fp32 the unfused kernel would misread them.
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Attention
    """
    lengths = attention_mask.sum(1, dtype=torch.int32)
    if dtype == torch.float32:
        return lengths
    # Sums, because the tensor's shape would be computed on the CPU and copied.
    rows = torch.ones_like(attention_mask).sum(1, dtype=torch.int32)
    starts = torch.cat([torch.zeros(1, dtype=torch.int32), rows.cumsum(0, dtype=torch.int32)])
    return torch.cat([lengths, starts, starts])


def _no_interface(*_: Any, **__: Any) -> tuple[torch.Tensor, None]:
    raise NotImplementedError(f"{FUSED} replaces whole modules")


AttentionInterface.register(FUSED, _no_interface)
AttentionMaskInterface.register(FUSED, _window_lengths)


def _exported(model: PreTrainedModel, dtype: torch.dtype, opset: int) -> onnx.ModelProto:
    model = copy.deepcopy(model).to("cpu")
    # Two sentences of four tokens: the exporter takes an axis of 1 for a constant. Two tensors:
    # given the same one twice, it makes one input of both.
    examples = (torch.ones((2, 4), dtype=torch.int64), torch.ones((2, 4), dtype=torch.int64))
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2)}
    if hasattr(torch.onnx, "ops"):
        _fuse_attention(model)
    else:  # torch 2.6, where a named axis is bound to the encoder's positions
        logging.getLogger(__name__).warning("no fused attention by torch %s", torch.__version__)
        model.set_attn_implementation("sdpa")
        dynamic = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):  # the two inputs have the same axes
        program = torch.onnx.export(
            _Logits(model.to(dtype)).eval(),
            examples,
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
            opset_version=opset,
            verbose=False,
        )
    if program is None:
        raise StageError("torch.onnx.export returned no program; try another export.opset")
    return program.model_proto


def _fuse_attention(model: PreTrainedModel) -> None:
    replaced = 0
    for module in list(model.modules()):
        own = getattr(module, "self", None)
        if isinstance(own, nn.Module) and all(hasattr(own, n) for n in ("query", "key", "value")):
            module.self = _Attention(own)
            replaced += 1
    if not replaced:
        raise StageError(
            f"export cannot fuse the self-attention of a model of type {model.config.model_type};"
            " use an encoder like BERT"
        )
    model.set_attn_implementation(FUSED)


def _fuse_rest(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Fuses layer norm with the sum before it, and GELU with its bias."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_attention = False  # already fused
    options.enable_embed_layer_norm = False  # needs a mask
    return optimize_model(proto, "bert", optimization_options=options, opt_level=0).model


def _quantised(proto: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        logging.disable(logging.WARNING)  # it advises what was already done, on the root logger
        try:
            quantize_dynamic(proto, path, weight_type=QuantType.QInt8)
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(path)


def _remove_paths(proto: onnx.ModelProto) -> None:
    """Removes stack traces, which contain paths of this machine."""
    for node in [*proto.graph.node, *(n for f in proto.functions for n in f.node)]:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    proto.graph.ClearField("metadata_props")
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        value.ClearField("metadata_props")
