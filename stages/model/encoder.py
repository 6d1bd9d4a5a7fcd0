"""Asks an encoder how many tokens it takes, and loads its tokenizer."""

import json
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.contract.errors import StageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LEAST_TOKENS = 8  # the shortest window that `align` allows
THIN = {"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": 8, "intermediate_size": 8}
OF_EACH_LAYER = ("attention_window", "layer_types")  # Longformer's, ModernBERT's


def check_window(encoder: Path, window_tokens: int) -> None:
    """Checks that the encoder in that folder takes a window of so many tokens.

    Raises:
        StageError: it takes fewer.
    """
    most = usable_tokens(encoder, window_tokens)
    if window_tokens > most:
        raise StageError(
            f"align.window_tokens is {window_tokens}, but the encoder in {encoder} takes at most"
            f" {most} tokens; lower it"
        )


def usable_tokens(encoder: Path, wanted: int) -> int:
    """The most tokens, up to `wanted`, that the encoder in that folder takes.

    Its config does not say so: of RoBERTa's 514 positions 512 are usable, those of DeBERTa are no
    limit. So it is tried, with one thin layer and few tokens of vocabulary: their sizes cost time
    and limit nothing. Where no forward pass works, `wanted` is returned: the length is not the
    reason. Of BERT itself all positions are usable, so nothing is loaded for it. Rotary positions
    (ModernBERT) can be computed for any length, but were trained up to the config's.
    """
    own = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    if own.get("model_type") == "bert" and "max_position_embeddings" in own:
        return min(wanted, int(own["max_position_embeddings"]))
    import torch  # 2 s, and transformers another: `align` starts with reading the corpus
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(encoder, local_files_only=True)
    if getattr(config, "rope_parameters", None):
        return min(wanted, int(config.max_position_embeddings))
    for name in OF_EACH_LAYER:
        if isinstance(value := getattr(config, name, None), list):
            setattr(config, name, value[:1])
    for name, size in THIN.items():
        setattr(config, name, size)
    token = (config.pad_token_id or 0) + 1  # no padding, which RoBERTa does not count
    config.vocab_size = token + 1
    try:
        with torch.random.fork_rng(devices=[]):  # else the weights of `train` would be others
            model = AutoModel.from_config(config).eval()
    except (ValueError, RuntimeError):
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


def load_tokenizer(encoder: Path) -> "PreTrainedTokenizerFast":
    """The fast tokenizer of the encoder in that folder, from whichever files it has.

    RoFormer's own splits text into words by jieba, which a cell never needs and the saved tokenizer
    no longer does; the rest of it is BERT's.

    Raises:
        StageError: transformers cannot read it, or has no fast version of it.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # it advises to train tokens that it adds itself
    own = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    type_ = "bert" if own.get("model_type") == "roformer" else None
    try:
        made: Any = AutoTokenizer.from_pretrained(
            encoder, local_files_only=True, tokenizer_type=type_
        )
    except Exception as error:  # of the tokenizer's own class, or a package that is not here
        first = str(error).strip().splitlines()[0:1]
        raise StageError(
            f"the tokenizer in {encoder} cannot be read ({''.join(first) or type(error).__name__});"
            " choose another encoder"
        ) from None
    if not made.is_fast:
        raise StageError(f"the tokenizer in {encoder} lacks a fast version; choose another encoder")
    return made


def special_ids(tokenizer: "PreTrainedTokenizerFast") -> dict[str, int | None]:
    """The ids of [CLS], [SEP] and [UNK], by these names; None for one that it lacks.

    EuroBERT puts its tokens for begin and end of a text in their place. A tokenizer of bytes may
    lack [UNK], since it knows every character: [MASK] then stands for a cell without a token.
    """
    candidates = {
        "[CLS]": (tokenizer.cls_token_id, tokenizer.bos_token_id),
        "[SEP]": (tokenizer.sep_token_id, tokenizer.eos_token_id),
        "[UNK]": (tokenizer.unk_token_id, tokenizer.mask_token_id),
    }
    return {
        name: next((id_ for id_ in ids if id_ is not None), None)
        for name, ids in candidates.items()
    }
