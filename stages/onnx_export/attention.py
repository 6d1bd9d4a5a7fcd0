"""Attention by ONNX Runtime's fused operators, for the encoders that can have them.

They take the length of each window instead of a mask, so that CUDA has a fused kernel for every
length. Padding must therefore come after the tokens, as in `stages.model.batches.padded`.
"""

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

FUSED = "onnxruntime_fused"


def use_fused_attention(model: PreTrainedModel) -> None:
    """Makes `model` call a fused operator, for export alone, if one fits it.

    Self-attention built as BERT's becomes `Attention`, which includes the three projections and
    measured 2 to 6 % faster on a GPU than `MultiHeadAttention`, which all others get. Neither fits
    where attention is more than softmax(QK)V (relative positions, convolution), which transformers
    leaves to the model, or reaches only neighbours in some layers.
    """
    kinds = getattr(model.config, "layer_types", None) or ["full_attention"]
    if not model._supports_attention_backend or {*kinds} != {"full_attention"}:
        return
    for module in list(model.modules()):
        own = getattr(module, "self", None)
        if isinstance(own, nn.Module) and all(hasattr(own, n) for n in ("query", "key", "value")):
            module.self = _Attention(own)
    model.set_attn_implementation(FUSED)


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


def _attention(
    module: nn.Module,  # noqa: ARG001  transformers passes it
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of [batch, heads, length, size] by one operator → [batch, length, heads, size]."""
    heads, size = query.shape[1], query.shape[3]
    repeats = heads // key.shape[1]  # queries that share a key
    if repeats > 1:
        key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
    query, key, value = (part.transpose(1, 2).flatten(2) for part in (query, key, value))
    result = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (query, key, value, None, attention_mask),
        {"num_heads": heads, "scale": scaling if scaling is not None else size**-0.5},
        dtype=query.dtype,
        shape=query.shape,
        version=1,
    )
    return torch.unflatten(result, 2, (heads, size)), None


def _window_lengths(attention_mask: torch.Tensor, dtype: torch.dtype, **_: Any) -> torch.Tensor:
    """The operators' padding mask, int32: the windows' lengths [batch].

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


AttentionInterface.register(FUSED, _attention)
AttentionMaskInterface.register(FUSED, _window_lengths)
