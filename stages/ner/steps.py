"""What a training step is made of: its batches, its weight decay, its gradients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from stages.ner.aligned import Aligned
from stages.ner.batches import batches_by_length, padded, shuffled_batches
from stages.ner.labels import IGNORED


def plan_steps(
    lengths: Sequence[int], epochs: int, tokens_per_step: int, tokens_per_batch: int, seed: int
) -> list[list[list[int]]]:
    """All steps of all epochs: a step is windows of similar length, cut into batches.

    Windows are named by their index in `lengths` (in tokens); padding counts as tokens. What a step
    holds does not depend on `tokens_per_batch`, so that on a smaller GPU it is the same step.
    Planned ahead, so that the schedule knows the number of steps.
    """
    rng = np.random.default_rng(seed)
    return [
        [
            [step[i] for i in batch]
            for batch in batches_by_length([lengths[i] for i in step], tokens_per_batch)
        ]
        for _ in range(epochs)
        for step in shuffled_batches(lengths, tokens_per_step, rng)
    ]


def decay_groups(model: PreTrainedModel, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices; none for biases and layer norms, as BERT was trained."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def backward(
    model: PreTrainedModel, data: Aligned, batches: Sequence[list[int]], bf16: bool
) -> torch.Tensor:
    """Adds the gradients of one step; gives its loss, still on the device.

    The loss is the mean cross-entropy over the labelled tokens of the step, however many batches
    hold them, so that accumulation changes no result but by rounding.
    """
    labelled = sum(int(data.scored[i].sum()) for batch in batches for i in batch)
    total = torch.zeros((), device=model.device)
    for batch in batches:
        ids, mask, labels = (
            torch.from_numpy(padded(rows, fill)).to(model.device, non_blocking=True)
            for rows, fill in (
                ([data.input_ids[i] for i in batch], 0),
                ([np.ones(len(data.input_ids[i]), dtype=np.int64) for i in batch], 0),
                ([data.labels[i] for i in batch], IGNORED),
            )
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(input_ids=ids, attention_mask=mask).logits
        loss = (
            cross_entropy(
                logits.flatten(0, 1).float(),
                labels.flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            )
            / labelled
        )
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total
