"""Checks by its config that an encoder is of a family that can be trained, without transformers."""

from collections.abc import Mapping
from typing import Any

from stages.contract.errors import StageError

# Each `model_type` for which transformers has a head for masked language modelling (others see only
# the text before a token, or have a decoder), one for token classification, and a fast tokenizer;
# without those that take pictures, FNet, in which padding changes the result, and Longformer, which
# torch 2.13 cannot export to ONNX. Importing transformers to ask it takes 3 s.
ENCODERS = frozenset(
    "albert bert big_bird camembert convbert data2vec-text deberta deberta-v2 distilbert electra"  # noqa: SIM905
    " ernie esmc eurobert funnel gte ibert jina_embeddings_v3 layoutlm luke"
    " megatron-bert mobilebert modernbert mpnet mra nomic_bert nystromformer rembert"
    " roberta roberta-prelayernorm roformer squeezebert ultrabert xlm-roberta"
    " xlm-roberta-xl xmod yoso".split()
)
# Tokenizers of such encoders that transformers has in Python only.
SLOW = frozenset(
    "BartphoTokenizer BertJapaneseTokenizer BertweetTokenizer EsmTokenizer FlaubertTokenizer"  # noqa: SIM905
    " PhobertTokenizer RoCBertTokenizer XLMTokenizer".split()
)
CAUSAL = ("ForCausalLM", "LMHeadModel")
ANOTHER = "take one of another family, such as google-bert/bert-base-chinese"


def check_family(
    config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], fast: bool, where: str
) -> None:
    """Checks what config.json and tokenizer_config.json say; `fast`: there is a tokenizer.json.

    Raises:
        StageError: the encoder cannot be trained, or its tokenizer has no fast version.
    """
    kind = config.get("model_type")
    own_code = _own_code(config)
    if kind not in ENCODERS or own_code or config.get("is_decoder"):
        raise StageError(
            f"{where}: an encoder of model_type {kind} cannot be trained here, because"
            f" {_reason(config, own_code)}; {ANOTHER}"
        )
    for said in (tokenizer_config, config):
        name = str(said.get("tokenizer_class") or "").removesuffix("Fast")
        if name in SLOW:
            raise StageError(f"{where}: its tokenizer {name} has no fast version; {ANOTHER}")
    if not fast and "AutoTokenizer" in (tokenizer_config.get("auto_map") or {}):
        raise StageError(
            f"{where}: its tokenizer is code of its own, which is never run, and it has no"
            f" tokenizer.json; {ANOTHER}"
        )


def _own_code(config: Mapping[str, Any]) -> str:
    """The class that only the encoder's repository has; "" if there is none.

    An old `auto_map` may name a class that transformers has by now: "EuroBertModel" of "eurobert".
    """
    known = _letters(str(config.get("model_type")))
    for use, name in (config.get("auto_map") or {}).items():
        own = str(name).rpartition(".")[2]
        if use.startswith(("AutoConfig", "AutoModel")) and not _letters(own).startswith(known):
            return own
    return ""


def _letters(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _reason(config: Mapping[str, Any], own_code: str) -> str:
    if config.get("model_type") == "longformer":
        return "torch cannot export it to ONNX (ModernBERT takes windows of up to 8,192 tokens)"
    built = config.get("architectures") or []
    if config.get("is_encoder_decoder"):
        return "it has a decoder"
    if config.get("is_decoder") or any(str(name).endswith(CAUSAL) for name in built):
        return "it sees only the text before a token"
    if own_code or config.get("auto_map"):
        code = own_code or "its model"
        return f"{code} is code of its own repository, which is never run"
    return "transformers has no such model with a mask and with heads for masked words and tokens"
