"""Asks an encoder how many tokens it takes."""

import json
from bisect import bisect_left
from pathlib import Path

LEAST_TOKENS = 8  # the shortest window that `align` allows


def usable_tokens(encoder: Path, wanted: int) -> int:
    """The most tokens, up to `wanted`, that a forward pass of the encoder in that folder takes.

    Its config does not say so: of RoBERTa's 514 positions 512 are usable, those of DeBERTa are no
    limit. So it is tried, with one thin layer and two tokens of vocabulary: their sizes cost time
    and limit nothing. Where no forward pass works, `wanted` is returned: the length is not the
    reason. Of BERT itself all positions are usable, so nothing is loaded for it.
    """
    own = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    if own.get("model_type") == "bert" and "max_position_embeddings" in own:
        return min(wanted, int(own["max_position_embeddings"]))
    import torch  # 2 s, and transformers another: `align` starts with reading the corpus
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(encoder, local_files_only=True)
    config.num_hidden_layers, config.intermediate_size = 1, 8
    token = (config.pad_token_id or 0) + 1  # no padding, which RoBERTa does not count
    config.vocab_size = token + 1
    try:
        with torch.random.fork_rng(devices=[]):  # else the weights of `train` would be others
            model = AutoModel.from_config(config).eval()
    except (ValueError, RuntimeError):  # such as Longformer, which counts its layers
        return wanted

    @torch.inference_mode()
    def takes(tokens: int) -> bool:
        ids = torch.full((1, tokens), token)
        try:
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (IndexError, RuntimeError):
            return False
        return True

    if takes(wanted) or not takes(LEAST_TOKENS):
        return wanted
    lengths = range(LEAST_TOKENS, wanted)
    return lengths[bisect_left(lengths, True, key=lambda tokens: not takes(tokens)) - 1]
