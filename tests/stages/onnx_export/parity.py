"""A small random model, and how far a graph of it is from torch."""

import numpy as np
import torch
from transformers import BertConfig, BertForTokenClassification

from stages.model.emissions import Forward

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}


def a_model() -> BertForTokenClassification:
    """BERT with seven labels."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = BertConfig(**SIZES, intermediate_size=64, max_position_embeddings=512, num_labels=7)
    return BertForTokenClassification(config).eval()


def difference(
    forward: Forward, expected: Forward, batch: int, length: int, padding: bool
) -> float:
    """The largest one of a logit that is not padding's."""
    rng = np.random.default_rng(length)
    ids = rng.integers(0, SIZES["vocab_size"], size=(batch, length))
    tokens = rng.integers(1, length + 1, size=(batch, 1)) if padding else np.array([[length]])
    mask = (np.arange(length) < tokens).astype(np.int64) * np.ones_like(ids)
    got = forward(ids, mask)
    assert got.shape == (batch, length, 7)
    assert got.dtype == np.float32
    return float(np.abs(got - expected(ids, mask))[mask == 1].max())
