"""Finds out whether an encoder keeps the windows of a packed row apart."""

from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from stages.model.tagger import first_position
from stages.text.labels import IGNORED
from stages.text.windows_table import Aligned
from stages.training.batches import make_batches, model_inputs, separate_batches

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
    rng, size = np.random.default_rng(0), model.config.vocab_size
    # From the upper half of the vocabulary: special tokens may have a meaning for the model.
    ids: list[Any] = [rng.integers(size // 2, size, length) for length in lengths]
    labels: list[Any] = [np.full_like(of_window, IGNORED) for of_window in ids]
    windows = range(len(lengths))
    data = Aligned([*windows], [[]] * len(windows), ids, labels)

    def states(batches: list[torch.Tensor], packed: bool) -> torch.Tensor:
        inputs = model_inputs(batches[0].to(model.device), packed)
        result: torch.Tensor = model.base_model(**inputs).last_hidden_state[0]
        return result

    row = states(make_batches(data, [[*windows]], 1, row_tokens, first_position(model)), True)
    together = torch.split(row[: sum(lengths)], lengths)
    alone = [states(separate_batches(data, [[window]], row_tokens), False) for window in windows]
    differences = [(one - other).abs().max() for one, other in zip(together, alone, strict=True)]
    return max(map(float, differences))
