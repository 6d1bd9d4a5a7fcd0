"""How many tokens an encoder takes, compared with a forward pass of the whole model."""

import pytest
import torch
from transformers import AutoModel, BertConfig, DebertaV2Config, ElectraConfig, RobertaConfig

from stages.model.positions import usable_tokens

SIZES = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 8, "max_position_embeddings": 40}
CONFIGS = {
    "BERT": (BertConfig(**SIZES), 40),
    "ELECTRA": (ElectraConfig(**SIZES, embedding_size=8), 40),
    "RoBERTa": (RobertaConfig(**SIZES, pad_token_id=1), 38),
    "RoBERTa, another padding": (RobertaConfig(**SIZES, pad_token_id=5), 34),
    "DeBERTa, relative": (
        DebertaV2Config(**SIZES, relative_attention=True, position_biased_input=False),
        64,
    ),
}


@pytest.mark.parametrize(("config", "most"), CONFIGS.values(), ids=CONFIGS)
def test_what_a_forward_pass_takes(tmp_path, config, most):
    config.save_pretrained(tmp_path)
    before = torch.random.get_rng_state()
    assert usable_tokens(tmp_path, 64) == most
    assert torch.equal(torch.random.get_rng_state(), before)
    assert usable_tokens(tmp_path, 20) == 20
    model = AutoModel.from_config(config).eval()
    ids = torch.full((1, most), 9)
    assert model(input_ids=ids).last_hidden_state.shape == (1, most, 8)
    if most < 64:
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, most + 1), 9))
