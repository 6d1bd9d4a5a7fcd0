"""An invented corpus of one page of words, and an encoder without weights that knows them."""

import json
from pathlib import Path
from random import Random
from typing import Any

Tagged = list[tuple[str, str]]  # (character, tag)

NAMES = {
    "PER": ("赵钱孙李周吴", "明芳伟静磊娜"),
    "LOC": ("江河湖海山岭", "州城县镇乡湾"),
    "ORG": ("金银铜铁锡铝", "厂社局院校团"),
}
CLAUSES = [
    "{PER}说{LOC}的{ORG}很好",
    "{PER}和{PER}昨天到了{LOC}",
    "{ORG}在{LOC}开会",
    "记者从{ORG}得知{PER}已经回到{LOC}",
    "{PER}走了３㎞到{LOC}",
    "{LOC}有12家企业",
    "今天☆没有新闻",  # a star is no character of the vocabulary
    "★{PER}走了",
]
CHARACTERS = {
    *(c for pair in NAMES.values() for part in pair for c in part),
    *(c for clause in CLAUSES for c in clause if c not in "{}PERLOCG☆★３㎞"),
    *",0123456789km",
}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(CHARACTERS)]
CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 130,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    # BERT's 0.02 keeps so narrow an encoder from learning anything within a second.
    "initializer_range": 0.1,
    "pad_token_id": 0,
}
TOKENIZER = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": False,
    "tokenize_chinese_chars": True,
    "strip_accents": False,
    "model_max_length": 512,
} | {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}


def a_sentence(random: Random, of: int = 0) -> Tagged:
    """A clause with names filled in, or as many clauses as have `of` characters."""
    cells: Tagged = []
    while len(cells) < of or not cells:
        cells += [("，", "O")] if cells else []
        for part in random.choice(CLAUSES).replace("}", "{").split("{"):
            if part in NAMES:
                first, then = (random.choice(half) for half in NAMES[part])
                name = first + then + random.choice(["", "", then])
                cells += zip(name, [f"B-{part}", *[f"I-{part}"] * 2], strict=False)
            else:
                cells += [(character, "O") for character in part]
    return cells[:of] if of else cells


def text_of(sentence: Tagged) -> str:
    return "".join(cell for cell, _ in sentence)


def entities_of(sentence: Tagged) -> list[tuple[int, int, str]]:
    """Start, end and type of each, counted without the code under test."""
    found: list[tuple[int, int, str]] = []
    for at, (_, tag) in enumerate(sentence):
        if tag[0] == "B":
            found.append((at, at + 1, tag[2:]))
        elif tag[0] == "I":
            found[-1] = (found[-1][0], at + 1, tag[2:])
    return found


def write_encoder(folder: Path, **config: Any) -> Path:
    """BERT as a configuration and a vocabulary, without weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))
    (folder / "vocab.txt").write_text("".join(c + "\n" for c in VOCABULARY), encoding="utf-8")
    return folder
