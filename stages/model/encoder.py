"""Asks an encoder how many tokens it takes, and loads its tokenizer."""

import json
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.contract.errors import StageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LEAST_TOKENS = 8  # the shortest window that `align` allows
THIN = {"num_attention_heads": 1, "hidden_size": 8, "intermediate_size": 8, "embedding_size": 8}
OF_ANY_TOKENIZER = ("tokenizer.json", "tokenizer.model")  # whatever its class
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
    token = make_thin(config, 1)
    for name, size in THIN.items():
        setattr(config, name, size)
    try:
        with torch.random.fork_rng(devices=[]):  # else the weights of `train` would be others
            model = AutoModel.from_config(config).eval()
    except Exception:  # whatever the family's own code raises at such sizes
        return wanted

    @torch.inference_mode()
    def takes(tokens: int) -> bool:
        ids = torch.full((1, tokens), token)
        try:
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (IndexError, RuntimeError, ValueError):
            return False
        return True

    if takes(wanted) or not takes(LEAST_TOKENS):
        return wanted
    lengths = range(LEAST_TOKENS, wanted)
    return lengths[bisect_left(lengths, True, key=lambda tokens: not takes(tokens)) - 1]


def make_thin(config: Any, layers: int) -> int:
    """Leaves the config few `layers` and tokens; returns the first of two that are not padding."""
    with suppress(NotImplementedError):  # Funnel has blocks of layers: they stay
        config.num_hidden_layers = min(layers, config.num_hidden_layers)
    for name in OF_EACH_LAYER:
        if isinstance(value := getattr(config, name, None), list):
            setattr(config, name, value[:layers])
    token = int(config.pad_token_id or 0) + 1  # RoBERTa does not count padding
    config.vocab_size = token + 2
    return token


def load_tokenizer(encoder: Path) -> "PreTrainedTokenizerFast":
    """The fast tokenizer of the encoder in that folder, from whichever files it has.

    vocab.txt where the family has another file is of BERT's tokenizer (Chinese ALBERT). RoFormer's
    own splits text into words by jieba, which a cell never needs and the saved tokenizer no longer
    does; the rest of it is BERT's.

    Raises:
        StageError: transformers cannot read it, has no fast version of it, or finds no vocabulary.
    """
    made = _read_tokenizer(encoder)
    if not made.is_fast:
        raise StageError(f"the tokenizer in {encoder} lacks a fast version; choose another encoder")
    lacking = sorted(name for name in _files_of(made) if not (encoder / name).is_file())
    if not lacking or any((encoder / name).is_file() for name in OF_ANY_TOKENIZER):
        return made
    if (encoder / "vocab.txt").is_file():
        return _read_tokenizer(encoder, of_bert=True)
    # Without them transformers makes one that knows no character, and says nothing.
    raise StageError(
        f"the tokenizer in {encoder}, of class {type(made).__name__}, lacks {', '.join(lacking)}:"
        " rename its file, name its tokenizer_class in tokenizer_config.json, or choose another"
        " encoder"
    )


def _read_tokenizer(encoder: Path, of_bert: bool = False) -> "PreTrainedTokenizerFast":
    import transformers  # 1 s
    from transformers.utils import logging

    logging.set_verbosity_error()  # it advises to train tokens that it adds itself
    try:
        # AutoTokenizer imports torch: 1 s, and `align` needs it for nothing else.
        bert = of_bert or _is_of_bert(encoder)
        reader = transformers.BertTokenizer if bert else transformers.AutoTokenizer
        return reader.from_pretrained(encoder, local_files_only=True)
    except Exception as error:  # of the tokenizer's own class, or a package that is not here
        first = str(error).strip().splitlines()[0:1]
        raise StageError(
            f"the tokenizer in {encoder} cannot be read ({''.join(first) or type(error).__name__});"
            " choose another encoder"
        ) from None


def _is_of_bert(encoder: Path) -> bool:
    """Whether the encoder's tokenizer is BERT's: by its type, unless a file names another class."""
    files = [encoder / "tokenizer_config.json", encoder / "config.json"]
    said = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    type_ = said[-1].get("model_type")
    named = next(filter(None, (one.get("tokenizer_class") for one in said)), "BertTokenizer")
    return type_ == "roformer" or (
        type_ == "bert" and named.removesuffix("Fast") == "BertTokenizer"
    )


def _files_of(tokenizer: "PreTrainedTokenizerFast") -> set[str]:
    """The files that hold the vocabulary of such a tokenizer, where there is no tokenizer.json."""
    return {*tokenizer.vocab_files_names.values()} - {*OF_ANY_TOKENIZER}


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
