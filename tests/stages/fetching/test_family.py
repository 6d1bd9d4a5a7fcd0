"""Which encoders are refused by their config alone."""

import json

import pytest
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
)
from transformers.models.auto.tokenization_auto import (
    TOKENIZER_MAPPING_NAMES,
    tokenizer_class_from_name,
)

from stages.contract.errors import StageError
from stages.fetching.family import ENCODERS, SLOW, check_family
from tests.support.families import FAMILIES

OURS = "; take one of another family, such as google-bert/bert-base-chinese"


def is_fast(name):
    class_ = tokenizer_class_from_name(name)
    return any(base.__name__ == "TokenizersBackend" for base in class_.__mro__)


def test_the_encoders_are_those_of_transformers():
    both = MODEL_FOR_MASKED_LM_MAPPING_NAMES.keys() & MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES
    both = {kind for kind in both if (own := AutoConfig.for_model(kind)).get_text_config() is own}
    # The first has no attention mask, so padding changes the result; torch cannot export the other.
    both -= {"fnet", "longformer"}
    tokenizers = {kind: TOKENIZER_MAPPING_NAMES.get(kind) for kind in both}
    assert {kind for kind, name in tokenizers.items() if not name or is_fast(name)} == ENCODERS
    slow = {name for name in tokenizers.values() if name and not is_fast(name)}
    assert slow <= SLOW
    assert not any(map(is_fast, SLOW))
    assert {own["model_type"] for own, _ in FAMILIES.values()} - {"longformer"} <= ENCODERS


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_code_of_before_transformers_had_the_family_is_not_needed(kind):
    name = CONFIG_MAPPING_NAMES[kind]
    auto_map = {"AutoConfig": f"configuration.{name}", "AutoModel": name.replace("Config", "Model")}
    check_family({"model_type": kind, "auto_map": auto_map}, {}, True, "here")


NONE = "transformers has no such model with a mask and with heads for masked words and tokens"
CODE = "is code of its own repository, which is never run"
REFUSED = {
    "T5": ({"model_type": "t5", "is_encoder_decoder": True}, "it has a decoder"),
    "GPT-2": (
        {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
        "it sees only the text before a token",
    ),
    "Llama": (
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
        "it sees only the text before a token",
    ),
    "BERT as a decoder": (
        {"model_type": "bert", "is_decoder": True},
        "it sees only the text before a token",
    ),
    "Longformer": (
        {"model_type": "longformer"},
        "torch cannot export it to ONNX (ModernBERT takes windows of up to 8,192 tokens)",
    ),
    "XLNet": (
        {"model_type": "xlnet"},
        NONE,
    ),
    "no type": (
        {},
        NONE,
    ),
    "new": (
        {"model_type": "new", "auto_map": {"AutoConfig": "configuration.NewConfig"}},
        f"its model {CODE}",
    ),
    "another BERT": (
        {"model_type": "bert", "auto_map": {"AutoConfig": "jina/x--config.JinaBertConfig"}},
        f"JinaBertConfig {CODE}",
    ),
}


@pytest.mark.parametrize(("config", "why"), REFUSED.values(), ids=REFUSED)
def test_refused(config, why):
    with pytest.raises(StageError) as error:
        check_family(config, {}, True, "here")
    assert str(error.value) == (
        f"here: an encoder of model_type {config.get('model_type')} cannot be trained here,"
        f" because {why}{OURS}"
    )


@pytest.mark.parametrize(
    ("tokenizer", "fast", "says"),
    [
        ({"tokenizer_class": "PhobertTokenizer"}, True, "tokenizer PhobertTokenizer has no fast"),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, False, "BertJapaneseTokenizer has no fast"),
        ({"auto_map": {"AutoTokenizer": ["a.B", None]}}, False, "is code of its own, which is"),
        ({"auto_map": {"AutoTokenizer": ["a.B", None]}}, True, None),
        ({"tokenizer_class": "RobertaTokenizerFast"}, False, None),
    ],
)
def test_a_tokenizer(tokenizer, fast, says):
    if says is None:
        check_family({"model_type": "roberta"}, tokenizer, fast, "here")
        return
    with pytest.raises(StageError) as error:
        check_family({"model_type": "roberta"}, tokenizer, fast, "here")
    assert says in str(error.value)
    assert str(error.value).endswith(OURS)


def test_the_hub_is_asked_for_no_more_than_the_config(hub, work, encoder, tmp_path):
    """Not for the tokenizer, nor for gigabytes of weights."""
    config = json.dumps({"model_type": "llama", "vocab_size": 7}).encode()
    (encoder / "config.json").write_bytes(config)
    hub = type(hub)(hub.mirror, encoder)
    env = {"HF_ENDPOINT": hub.mirror.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    code, said = work.run(**env)
    assert code
    assert "model_type llama cannot be trained here" in said
    asked = [path for path, _ in hub.mirror.requests]
    assert asked == [hub.api, *map(hub.file, ["config.json", "tokenizer_config.json"])]
