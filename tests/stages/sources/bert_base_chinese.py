"""The files of google-bert/bert-base-chinese, but for sizes, weights and most of the vocabulary."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForPreTraining

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
}
CONFIG = SMALL | {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "pad_token_id": 0,
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 21128,
}
TOKENIZER_CONFIG = '{"do_lower_case": false, "model_max_length": 512}'
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
TAKEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]


def write_bert_base_chinese(folder: Path) -> None:
    """Writes all files of the repository, also those that are not fetched."""
    words = vocabulary()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(words)))
    (folder / "tokenizer_config.json").write_text(TOKENIZER_CONFIG)
    torch.manual_seed(1)
    model = BertForPreTraining(BertConfig.from_pretrained(folder))
    for name, weights in model.named_parameters():
        if "LayerNorm" in name:  # all 1 or 0 otherwise: whether they were read would not be seen
            torch.nn.init.normal_(weights)
    # The names are those of TensorFlow, as they came.
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in model.state_dict().items()
        if "cls.predictions.decoder" not in name
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"):
        (folder / name).write_bytes(b"not to be fetched")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (folder / "README.md").write_text("# Bert-base-chinese\n")


def vocabulary() -> list[str]:
    """Special tokens where the real one has them, no capital letter, 21,128 in all."""
    words = [f"[unused{number}]" for number in range(104)]
    for token, number in SPECIAL.items():
        words[number] = token
    words += ["<S>", "<T>", *(chr(c) for c in range(33, 127) if not chr(c).isupper())]
    return words + [chr(0x4E00 + c) for c in range(21128 - len(words))]


def tokenizer_json(words: list[str]) -> dict[str, object]:
    """In the form of 2020: the model has no type, the template one order of keys."""

    def special(token: str) -> dict[str, object]:
        return {"SpecialToken": {"id": token, "type_id": 0}}

    single = [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "special": True, "content": token}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for token, number in SPECIAL.items()
        ],
        "normalizer": {
            "type": "BertNormalizer",
            **{"clean_text": True, "handle_chinese_chars": True},
            **{"strip_accents": None, "lowercase": False},
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}, special("[SEP]")],
            "special_tokens": {
                token: {"id": token, "ids": [SPECIAL[token]], "tokens": [token]}
                for token in ("[SEP]", "[CLS]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(words)},
        },
    }
