"""Finds out whether an encoder keeps the windows of a packed row apart."""

import numpy as np
import torch
from transformers import PreTrainedModel

from stages.model.tagger import first_position

TOLERANCE = 1e-3  # rounding gives 1e-6, and windows that see each other 2e-3 to 0.2, in fp32


def packs(model: PreTrainedModel, row_tokens: int) -> bool:
    """True if windows in a row of `row_tokens` give what each gives alone.

    Some attentions add the mask to their scores instead of masking by it, ignore the position ids
    or take no mask with four axes. Those mix the windows of a row, without an error. What is
    compared are the hidden states, in fp32 on the model's device: a new head's logits are so small
    that a difference could hide in them.
    """
    # A row that a window fills, too: in ModernBERT a given mask replaces its local attention.
    shared = [row_tokens // 4, row_tokens // 2, row_tokens // 8]  # and the rest is padding
    training = model.training
    model.eval()
    try:
        return all(
            _difference(model, lengths, row_tokens) <= TOLERANCE
            for lengths in (shared, [row_tokens])
        )
    except (TypeError, ValueError, RuntimeError, IndexError):  # it does not take such inputs
        return False
    finally:
        model.train(training)


@torch.inference_mode()
def _difference(model: PreTrainedModel, lengths: list[int], row_tokens: int) -> float:
    """The largest difference of a hidden state between windows in one row and each alone."""
    size = model.config.vocab_size
    # From the upper half of the vocabulary: special tokens may have a meaning for the model.
    tokens = np.random.default_rng(0).integers(size // 2, size, row_tokens)
    row = torch.from_numpy(tokens).to(model.device)[None]
    positions, windows = torch.zeros_like(row), torch.zeros_like(row)
    stops = np.cumsum(lengths).tolist()
    parts = [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
    first = first_position(model)
    for number, part in enumerate(parts, start=1):
        windows[:, part] = number
        positions[:, part] = torch.arange(first, first + part.stop - part.start)
    mask = windows[:, None, :, None] == windows[:, None, None, :]
    states = model.base_model(input_ids=row, position_ids=positions, attention_mask=mask)
    largest = 0.0
    for part in parts:
        own = row[:, part]
        alone = model.base_model(input_ids=own, attention_mask=torch.ones_like(own))
        difference = states.last_hidden_state[:, part] - alone.last_hidden_state
        largest = max(largest, float(difference.abs().max()))
    return largest
