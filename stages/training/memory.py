"""GPU memory that training needs, told before it starts."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from stages.contract.errors import StageError

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """What the peak depends on.

    The bytes a token were counted from what autograd keeps of each operation of a BERT layer, and
    agree within 6 % with peaks measured on an H100: BERT-base in bf16, rows of 128 tokens, batches
    of 8,192 to 65,536 tokens compiled and of 32,768 not (docs/operations.md).
    """

    config: Any
    """Of the encoder, transformers' own."""
    parameters: int
    outputs: int
    """Logits of a token: labels, or for masked language modelling the vocabulary."""
    row_tokens: int
    tokens_per_batch: int
    bf16: bool
    compiled: bool
    checkpointing: bool
    passes: int = 1
    """How often a batch goes through the model before its backward."""

    def parts(self) -> dict[str, int]:
        """Bytes, by what they are for."""
        found = {
            "weights": 4 * self.parameters,
            "gradients": 4 * self.parameters,
            "optimizer": 8 * self.parameters,
            "activations": self.passes * self.tokens_per_batch * self._bytes_a_token(),
        }
        return found | ({"bf16 weights": 2 * self.parameters} if self.bf16 else {})

    def bytes(self) -> int:
        """At the peak, in the middle of a step."""
        return sum(self.parts().values())

    def _bytes_a_token(self) -> int:
        hidden, layers = self.config.hidden_size, self.config.num_hidden_layers
        inner = getattr(self.config, "intermediate_size", 4 * hidden)
        if self.bf16:  # layer norms are fp32 all the same
            layer = (26 if self.compiled else 32) * hidden + 4 * inner + 2 * self.row_tokens
        else:
            layer = 38 * hidden + 8 * inner + 4 * self.row_tokens
        # With checkpointing a layer's input is kept, and one layer at a time is computed again.
        kept = layers * 4 * hidden + layer if self.checkpointing else layers * layer
        return int(kept + 12 * hidden + 14 * self.outputs)


def free_bytes(device: torch.device) -> int:
    """Of a GPU: what nobody has, and what torch has and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def require(need: Need, free: int) -> str:
    """What is needed, in a sentence.

    Raises:
        StageError: if less is free, with settings that fit.
    """
    told = f"{_gib(need.bytes())} of GPU memory"
    if need.bytes() <= free:
        parts = ", ".join(f"{name} {_gib(part)}" for name, part in need.parts().items())
        return f"needs about {told}, {_gib(free)} are free: {parts}"
    saving = replace(need, compiled=False, checkpointing=True)
    offers = []
    if smaller := _fitting(need, free):
        offers.append(f"train.tokens_per_batch to {smaller}")
    if not need.checkpointing and (smaller := _fitting(saving, free)):
        offers.append(
            "train.gradient_checkpointing to true, train.compile to false and"
            f" train.tokens_per_batch to {smaller}"
        )
    raise StageError(
        f"training needs about {told}, and {_gib(free)} are free; "
        + (f"set {', or '.join(offers)}" if offers else "no batch is small enough")
        + "; `nvidia-smi` says which other processes have some"
    )


def _fitting(need: Need, free: int) -> int | None:
    """Tokens a batch, halved until they fit."""
    tokens = need.tokens_per_batch
    while replace(need, tokens_per_batch=tokens).bytes() > free:
        tokens //= 2
        if tokens < need.row_tokens:
            return None
    return tokens


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f} GiB"
