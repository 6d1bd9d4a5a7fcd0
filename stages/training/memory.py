"""Estimates the GPU memory that training needs, before it starts."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import PreTrainedModel

from stages.contract.errors import StageError
from stages.params.train import Train
from stages.text.labels import Labels
from stages.training.ranks import Ranks

GIB = 2**30
TRIAL = GIB  # for the trial of the export, which runs beside the first steps


def check_free(
    params: Train, model: PreTrainedModel, labels: Labels, bf16: bool, ranks: Ranks
) -> dict[str, int]:
    """Prints what training will need, rank 0 only; returns what `.measured` keeps of it.

    Raises:
        StageError: less is free on the GPU.
    """

    def need(outputs: int, tokens_per_step: int, passes: int = 1) -> Need:
        return Need(
            ModelSize(model.config, model.num_parameters(), outputs),
            labels.window_tokens,
            min(params.tokens_per_batch, math.ceil(tokens_per_step / ranks.count)),
            bf16,
            params.compile,
            params.gradient_checkpointing,
            passes,
        )

    peak = need(len(labels.tags), params.tokens_per_step, 2 if params.r_drop else 1)
    if params.pretrain.epochs:
        logits = math.ceil(params.pretrain.mask_fraction * model.config.vocab_size)
        pretraining = need(logits, params.pretrain.tokens_per_step)
        peak = max(peak, pretraining, key=Need.bytes)
    device = torch.device("cuda")
    message = require(peak, free_bytes(device) - TRIAL)
    if ranks.first:
        print(message, file=sys.stderr)
    torch.cuda.reset_peak_memory_stats(device)
    return {"gpu_memory_estimate_mib": round(peak.bytes() / 2**20)}


@dataclass(frozen=True)
class ModelSize:
    """The size of a model."""

    config: Any
    """Of the encoder, by transformers."""
    parameters: int
    outputs: int
    """Logits per token: labels, or the vocabulary for each token that is hidden."""


@dataclass(frozen=True)
class Need:
    """What the peak depends on.

    The bytes per token are counted from what autograd keeps of each operation of a BERT layer. They
    agree within 6 % with peaks measured on an H100: BERT-base in bf16, rows of 128 tokens, batches
    of 8,192 to 65,536 tokens compiled and of 32,768 not compiled (docs/operations.md).
    """

    model: ModelSize
    row_tokens: int
    tokens_per_batch: int
    bf16: bool
    compiled: bool
    checkpointing: bool
    passes: int = 1
    """Forward passes of a batch before its backward."""

    def parts(self) -> dict[str, int]:
        """Bytes by purpose."""
        parameters = self.model.parameters
        parts = {
            "weights": 4 * parameters,
            "gradients": 4 * parameters,
            "optimizer": 8 * parameters,
            "activations": self.passes * self.tokens_per_batch * self._bytes_per_token(),
        }
        return parts | ({"bf16 weights": 2 * parameters} if self.bf16 else {})

    def bytes(self) -> int:
        """At the peak, in the middle of a step."""
        return sum(self.parts().values())

    def _bytes_per_token(self) -> int:
        config = self.model.config
        hidden, layers = config.hidden_size, config.num_hidden_layers
        inner = getattr(config, "intermediate_size", 4 * hidden)
        if self.bf16:  # layer norms are fp32 all the same
            layer = (26 if self.compiled else 32) * hidden + 4 * inner + 2 * self.row_tokens
        else:
            layer = 38 * hidden + 8 * inner + 4 * self.row_tokens
        # Checkpointing keeps each layer's input and computes one layer at a time again.
        kept = layers * 4 * hidden + layer if self.checkpointing else layers * layer
        return int(kept + 12 * hidden + 14 * self.model.outputs)


def free_bytes(device: torch.device) -> int:
    """GPU memory that no process uses, and what torch has reserved but does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def require(need: Need, free: int) -> str:
    """Describes the need in a sentence.

    Raises:
        StageError: less is free; the message names settings that fit.
    """
    total = f"{_gib(need.bytes())} of GPU memory"
    if need.bytes() <= free:
        parts = ", ".join(f"{name} {_gib(part)}" for name, part in need.parts().items())
        return f"training needs about {total}, {_gib(free)} are free: {parts}"
    saving = replace(need, compiled=False, checkpointing=True)
    settings = []
    if tokens := _fitting_tokens(need, free):
        settings.append(f"train.tokens_per_batch to {tokens}")
    if not need.checkpointing and (tokens := _fitting_tokens(saving, free)):
        settings.append(
            "train.gradient_checkpointing to true, train.compile to false and"
            f" train.tokens_per_batch to {tokens}"
        )
    raise StageError(
        f"training needs about {total}, but {_gib(free)} are free; "
        + (f"set {', or '.join(settings)}" if settings else "no batch is small enough")
        + "; `nvidia-smi` shows which other processes use the GPU"
    )


@contextmanager
def explain_exhaustion(params: Train, labels: Labels) -> Iterator[None]:
    """Turns an out-of-memory error of the GPU into a StageError that names what to lower."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        # `auto` is bf16 already, on a GPU that has it.
        bf16 = ", or set train.precision: auto (now fp32)" if params.precision == "fp32" else ""
        raise StageError(
            "the GPU is out of memory; lower"
            f" train.tokens_per_batch (now {params.tokens_per_batch})"
            f" or align.window_tokens (now {labels.window_tokens}){bf16}"
        ) from None


def _fitting_tokens(need: Need, free: int) -> int | None:
    """Tokens per batch, halved until they fit."""
    tokens = need.tokens_per_batch
    while replace(need, tokens_per_batch=tokens).bytes() > free:
        tokens //= 2
        if tokens < need.row_tokens:
            return None
    return tokens


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f} GiB"
