"""A tiny encoder and corpora to align with it."""

import json
from collections.abc import Iterable
from pathlib import Path

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# In the vocabulary. Not in it: 沪, 𠮷, 😀, and what a tokenizer drops.
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz./⁄%张三李四在去北京大学的市，。é"


def write_encoder(folder: Path, **config: object) -> Path:
    """A BERT of characters in `folder`, without weights; `config` goes over config.json."""
    folder.mkdir(parents=True)
    vocabulary = [*SPECIAL, *CHARACTERS]
    (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in vocabulary), encoding="utf-8")
    values = {"model_type": "bert", "vocab_size": len(vocabulary), "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(values | config))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return folder


def bio(*sentences: Iterable[tuple[str, str]]) -> str:
    """The text of a corpus; a sentence is cells with their tags."""
    return "\n".join("".join(f"{cell}\t{tag}\n" for cell, tag in rows) for rows in sentences)


def tagged(text: str, *entities: tuple[int, int, str]) -> list[tuple[str, str]]:
    """A sentence whose characters `start:stop` are an entity of that type."""
    tags = ["O"] * len(text)
    for start, stop, type_ in entities:
        tags[start:stop] = [f"B-{type_}", *[f"I-{type_}"] * (stop - start - 1)]
    return list(zip(text, tags, strict=True))
