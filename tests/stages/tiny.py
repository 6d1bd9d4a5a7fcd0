"""A tiny encoder and corpora to align with it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.align import align
from stages.params.align import Align
from stages.text.labels import Labels
from stages.text.windows_table import Aligned, read_aligned

PARAMS = {
    "format": "conll",
    "conll": {"columns": ["token", "tag"], "separator": "\t", "comment": None},
    "jsonl": {"text": "text", "spans": "label"},
    "parquet": {"tokens": "tokens", "tags": "ner_tags"},
    "scheme": "BIO",
    "cells": "characters",
    "types": ["PER", "ORG", "LOC"],
    "nested": "refuse",
    "dev_sentences": 2,
    "dev_block_sentences": 1,
    "seed": 13,
    "train_sentences": None,
    "window_tokens": 32,
    "window_overlap_tokens": 8,
    "repair_test_tags": False,
}
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
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


class Result(NamedTuple):
    """What `align` wrote."""

    folder: Path
    report: dict[str, Any]
    splits: dict[str, Aligned]

    @property
    def labels(self) -> Labels:
        return Labels.read(self.folder)

    def sentences(self, split: str) -> list[list[tuple[str, str]]]:
        """Cells with their tags, put together from the windows."""
        aligned = self.splits[split]
        return [
            [(cell, self.labels.tags[label]) for cell, label in zip(cells, labels, strict=True)]
            for cells, labels in zip(
                aligned.sentence_cells(), aligned.sentence_labels(), strict=True
            )
        ]


FILLER = [tagged(f"{digit}") for digit in "01234"]


def align_text(
    folder: Path,
    encoder: Path,
    test: str | Sequence[Iterable[tuple[str, str]]] = FILLER,
    train: str | Sequence[Iterable[tuple[str, str]]] = FILLER,
    **changes: object,
) -> Result:
    """Aligns these corpora below `folder`."""
    raw = folder / "data/corpus"
    raw.mkdir(parents=True, exist_ok=True)
    for name, corpus in (("train", train), ("test", test)):
        text = corpus if isinstance(corpus, str) else bio(*corpus)
        (raw / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    out, report = folder / "data/aligned", folder / "reports/align.json"
    align(Align.model_validate(PARAMS | changes), raw, encoder, out, report)
    splits = {name: read_aligned(out / f"{name}.parquet") for name in ("train", "dev", "test")}
    return Result(out, json.loads(report.read_text(encoding="utf-8")), splits)
