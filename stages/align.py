"""Characters to tokens, tags to labels, long sentences to windows; a dev split."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from stages.command import command
from stages.errors import StageError
from stages.ner.corpus import Sentence, read_bio
from stages.ner.labels import IGNORED, Labels, iob2_tags
from stages.ner.tokens import CellEncoder
from stages.ner.windows import windows
from stages.outs import whole
from stages.params import Align
from stages.progress import progress


def align(params: Align, raw: Path, encoder: Path, out: Path, report: Path) -> dict[str, Any]:
    """Aligns `raw`/train.txt and test.txt with the tokenizer of `encoder`.

    Writes `out`: train, dev and test as Parquet (see `stages.ner.aligned`), labels.json; and
    `report`: what was repaired, then for each split its sentences, characters, entities in and
    kept, unknown rate (of characters), windows. No character and no entity is dropped or cut.

    What is repaired and what refused: `stages.ner.corpus.read_bio`. Stray I- tags of test are
    repaired only with `repair_test_tags`.

    Raises:
        StageError: malformed input, with file and line; too few sentences for the dev split; no
            encoder, one that takes fewer tokens than a window has, one whose tokenizer lacks
            [CLS], [SEP], [UNK] or a fast version.
    """
    train = read_bio(raw / "train.txt", params.types, repair_tags=True)
    test = read_bio(raw / "test.txt", params.types, repair_tags=params.repair_test_tags)
    kept, dev = _hold_out(train.sentences, params.dev_sentences, params.seed)
    if params.train_sentences is not None and params.train_sentences < len(kept):
        chosen = random.Random(params.seed).sample(range(len(kept)), params.train_sentences)  # noqa: S311
        kept = [kept[i] for i in sorted(chosen)]
    repaired = {"train": dict(train.repaired), "test": dict(test.repaired)}
    figures: dict[str, Any] = {"repaired": repaired}
    splits = {"train": kept, "dev": dev, "test": test.sentences}
    with whole(out, report) as [folder, file]:
        folder.mkdir()
        encode, labels = _tokenizer(encoder, params)
        labels.write(folder)
        with progress(sum(map(len, splits.values())), "align", " sentences") as bar:
            for name, sentences in splits.items():
                rows = _rows(sentences, labels, encode)
                figures[name] = _figures(sentences, rows, labels)
                _write(rows, folder / f"{name}.parquet")
                bar.update(len(sentences))
        file.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return {"sentences": sum(map(len, splits.values()))}


def main() -> None:
    """Runs the stage below the present folder."""
    command(
        Align,
        lambda params: align(
            params,
            Path("data/msra"),
            Path("data/encoder"),
            Path("data/aligned"),
            Path("reports/align.json"),
        ),
        "Aligns characters with tokens and tags with labels.",
    )


def _hold_out(
    sentences: list[Sentence], wanted: int, seed: int
) -> tuple[list[Sentence], list[Sentence]]:
    """Splits off about `wanted` sentences; repeated ones go to one side together."""
    count = Counter(sentence.cells for sentence in sentences)
    texts = sorted(count)
    random.Random(seed).shuffle(texts)  # noqa: S311
    dev: set[tuple[str, ...]] = set()
    held = 0
    for text in texts:
        if held >= wanted:
            break
        dev.add(text)
        held += count[text]
    if held < wanted or len(dev) == len(texts):
        raise StageError(
            f"train has {len(sentences)} sentences, too few to hold out align.dev_sentences ="
            f" {wanted}; lower it"
        )
    return [s for s in sentences if s.cells not in dev], [s for s in sentences if s.cells in dev]


def _tokenizer(encoder: Path, params: Align) -> tuple[CellEncoder, Labels]:
    config = encoder / "config.json"
    if not config.is_file():  # transformers would look for that name on the hub
        raise StageError(f"{encoder} holds no encoder: run `dvc repro download` first")
    from transformers import AutoTokenizer  # 2 s: only once the corpus is known to be good

    tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    positions = json.loads(config.read_text(encoding="utf-8")).get("max_position_embeddings")
    most = min(positions or params.window_tokens, tokenizer.model_max_length)
    if params.window_tokens > most:
        raise StageError(
            f"align.window_tokens is {params.window_tokens}, but the encoder of {encoder} takes"
            f" {most} tokens at most; lower it"
        )
    cls, sep, unknown = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id)
    if None in (cls, sep, unknown) or not tokenizer.is_fast:
        raise StageError(
            f"the tokenizer of {encoder} lacks [CLS], [SEP], [UNK] or a fast version;"
            " choose another encoder"
        )
    labels = Labels(
        tags=iob2_tags(params.types),
        window_tokens=params.window_tokens,
        window_overlap_tokens=params.window_overlap_tokens,
        cls_id=cls,
        sep_id=sep,
        unknown_id=unknown,
    )
    return CellEncoder(tokenizer.backend_tokenizer, unknown), labels


def _rows(
    sentences: Sequence[Sentence], labels: Labels, encode: CellEncoder
) -> dict[str, list[Any]]:
    """Columns of `stages.ner.aligned.Aligned`."""
    label_of = {tag: label for label, tag in enumerate(labels.tags)}
    rows: dict[str, list[Any]] = {"sentence": [], "cells": [], "input_ids": [], "labels": []}
    for number, sentence in enumerate(sentences):
        ids, first = encode(sentence.cells)
        of_token = [IGNORED] * len(ids)
        cell_of_token = {}
        for cell, token in enumerate(first):
            of_token[token] = label_of[sentence.tags[cell]]
            cell_of_token[token] = sentence.cells[cell]
        for window in windows(len(ids), labels.window_tokens - 2, labels.window_overlap_tokens):
            span = range(window.start, window.stop)
            own = range(window.own_start, window.own_stop)
            rows["sentence"].append(number)
            rows["cells"].append([cell_of_token[t] for t in own if t in cell_of_token])
            of_span = [of_token[t] if t in own else IGNORED for t in span]
            rows["input_ids"].append([labels.cls_id, *(ids[t] for t in span), labels.sep_id])
            rows["labels"].append([IGNORED, *of_span, IGNORED])
    return rows


def _figures(
    sentences: Sequence[Sentence], rows: dict[str, list[Any]], labels: Labels
) -> dict[str, Any]:
    """Counts of the corpus and of what the rows hold of it; they must agree."""
    tokens, of_token = (chain.from_iterable(rows[name]) for name in ("input_ids", "labels"))
    pairs = zip(tokens, of_token, strict=True)
    scored = [(token, labels.tags[label]) for token, label in pairs if label != IGNORED]
    kept = [tag for _, tag in scored]
    given = [tag for sentence in sentences for tag in sentence.tags]
    if kept != given:
        raise StageError(
            f"alignment lost something: {_entities(given).total()} entities in,"
            f" {_entities(kept).total()} kept; please report it with the corpus"
        )
    return {
        "sentences": len(sentences),
        "characters": len(given),
        "entities_in": _entities(given).total(),
        "entities_kept": _entities(kept).total(),
        "entities": dict(sorted(_entities(kept).items())),
        "unknown_rate": sum(token == labels.unknown_id for token, _ in scored) / len(scored),
        "windows": len(rows["input_ids"]),
    }


def _entities(tags: Sequence[str]) -> Counter[str]:
    return Counter(tag[2:] for tag in tags if tag.startswith("B-"))


def _write(rows: dict[str, list[Any]], path: Path) -> None:
    from datasets import Dataset, Features, List, Value, disable_progress_bars  # 1 s

    disable_progress_bars()  # a bar of our own stands there
    features = Features(
        sentence=Value("int32"),
        cells=List(Value("string")),
        input_ids=List(Value("int32")),
        labels=List(Value("int8")),
    )
    Dataset.from_dict(rows, features=features).to_parquet(path)


if __name__ == "__main__":
    main()
