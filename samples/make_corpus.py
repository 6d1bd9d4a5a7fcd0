"""Writes the sample job's corpus and tiny encoder, the same bytes on every run and machine.

The sentences are synthetic: names are composed of the pieces in words.py and put into the clauses
of templates.py. Train and test share most clauses; each has some that the other lacks.
"""

import argparse
import hashlib
import json
import re
import unicodedata
from pathlib import Path
from random import Random

import templates
from names import fill, pick

SEED = 20240611
TRAIN_SENTENCES = 4200  # 200 of them become the dev split
TEST_SENTENCES = 400
LONG_EVERY = 25  # every 25th sentence is longer than a window of params.yaml
LONG_CHARACTERS = 150
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    # Dropout takes a fifth of a CPU's step, and three epochs do without.
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # Not BERT's 0.02: so narrow a network learns its positions sooner (F1 0.93, not 0.89).
    "initializer_range": 0.05,
    "pad_token_id": 0,
}
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": False,
    "tokenize_chinese_chars": True,
    "strip_accents": False,
    "model_max_length": 512,
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}

Sentence = list[tuple[str, str]]  # (character, tag)


def main() -> None:
    """Writes corpus/ and encoder/, and prints their sizes and hashes for params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write to (default: here)"
    )
    out = parser.parse_args().out
    # An int seed and .random() give the same sequence on every Python; choice() and shuffle() may
    # not (random module, "Notes on Reproducibility").
    rng = Random(SEED)  # noqa: S311
    seen: set[str] = set()
    train = _corpus(rng, TRAIN_SENTENCES, templates.TRAIN_ONLY, seen, is_test=False)
    test = _corpus(rng, TEST_SENTENCES, templates.TEST_ONLY, seen, is_test=True)
    for name, sentences in (("train", train), ("test", test)):
        text = "\n".join("".join(f"{c}\t{tag}\n" for c, tag in s) for s in sentences)
        digest = _write(out / "corpus" / f"{name}.txt", text)
        print(f"{name}: {len(sentences)} sentences, {sum(map(len, sentences))} characters")
        print(f"    bytes: {len(text.encode())}\n    sha256: {digest}")
    vocabulary = SPECIALS + sorted({n for s in train for c, _ in s for n in _nfkc(c)})
    config = CONFIG | {"vocab_size": len(vocabulary)}
    _write(out / "encoder/vocab.txt", "\n".join(vocabulary) + "\n")
    _write(out / "encoder/config.json", json.dumps(config, indent=2) + "\n")
    _write(out / "encoder/tokenizer_config.json", json.dumps(TOKENIZER, indent=2) + "\n")
    known = {entity for s in train for entity in _entities(s)}
    mentions = [entity for s in test for entity in _entities(s)]
    unseen = sum(entity not in known for entity in mentions) / len(mentions)
    print(f"{unseen:.1%} of the {len(mentions)} entities of test are not in train")


def _corpus(
    rng: Random, count: int, own: list[str], seen: set[str], *, is_test: bool
) -> list[Sentence]:
    """`count` sentences, none of which is in `seen`; adds them to it."""
    clauses = templates.SHARED * 2 + own * 2 + templates.PLAIN
    sentences: list[Sentence] = []
    while len(sentences) < count:
        is_long = len(sentences) % LONG_EVERY == LONG_EVERY - 1
        sentence = _sentence(rng, clauses, is_long=is_long, is_test=is_test)
        text = "".join(character for character, _ in sentence)
        if text not in seen:
            seen.add(text)
            sentences.append(sentence)
    return sentences


def _sentence(rng: Random, clauses: list[str], *, is_long: bool, is_test: bool) -> Sentence:
    sentence = _clause(rng, pick(rng, clauses), is_test=is_test)
    two = rng.random() < 0.35
    while two or (is_long and len(sentence) <= LONG_CHARACTERS):
        sentence += [(character, "O") for character in pick(rng, templates.LINKS)]
        sentence += _clause(rng, pick(rng, clauses), is_test=is_test)
        two = False
    sentence += [(character, "O") for character in pick(rng, templates.ENDS)]
    if is_test and rng.random() < 0.25:
        # U+0021 to U+007E have full-width forms, which NFKC reverses.
        return [(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c, tag) for c, tag in sentence]
    return sentence


def _clause(rng: Random, template: str, *, is_test: bool) -> Sentence:
    while match := re.search(r"\[([^\[\]]*)\]", template):  # the innermost alternatives first
        chosen = pick(rng, match[1].split("|"))
        template = template[: match.start()] + chosen + template[match.end() :]
    clause: Sentence = []
    for part in re.findall(r"\{\w+\}|[^{}]+", template):
        filled = fill(rng, part[1:-1], is_test=is_test) if part[0] == "{" else [(None, part)]
        for kind, text in filled:
            tags = ["O"] * len(text) if kind is None else [f"B-{kind}"] + [f"I-{kind}"] * len(text)
            clause += zip(text, tags, strict=False)
    return clause


def _entities(sentence: Sentence) -> list[tuple[str, str]]:
    """(type, NFKC text) of each entity."""
    entities: list[tuple[str, str]] = []
    for character, tag in sentence:
        if tag.startswith("B-"):
            entities.append((tag[2:], ""))
        if tag != "O":
            kind, text = entities[-1]
            entities[-1] = (kind, text + _nfkc(character))
    return entities


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _write(path: Path, text: str) -> str:
    """Writes UTF-8 with LF; returns the SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
