"""The stage `align`: turns a corpus into windows of tokens and labels, and splits off dev."""

import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from stages.contract.command import command
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.contract.progress import progress
from stages.corpus.corpus import Corpus
from stages.corpus.formats.read import read_corpus
from stages.model.positions import usable_tokens
from stages.params.align import TYPES_MAX, Align
from stages.text.labels import Labels, iob2_tags
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.windows_writer import write_aligned


def align(params: Align, raw: Path, encoder: Path, out: Path, report: Path) -> dict[str, Any]:
    """Aligns `raw`/train.txt, test.txt and, if it exists, dev.txt with `encoder`'s tokenizer.

    Writes to `out`: train, dev and test as Parquet (see `stages.text.windows_table`), labels.json.
    Writes to `report`: the number of repairs of each kind and their first places; per split its
    sentences, cells (`characters` or `words`), entities in and kept, unknown rate (of cells) and
    windows. No cell and no entity is dropped or cut.

    The readers in `stages.corpus.formats` say what is repaired and what is refused. Wrong tags and
    spans of test are repaired only with `repair_test_tags`.

    Raises:
        StageError: malformed input, with file and line; too few sentences for the dev split; no
            encoder, or one that takes fewer tokens than a window has, or whose tokenizer lacks
            [CLS], [SEP], [UNK] or a fast version.
    """
    corpora = _read(params, raw)
    types = params.types or _types(corpora)
    train = corpora["train"].sentences
    if "dev" in corpora:
        kept, dev = train, corpora["dev"].sentences
    else:
        kept, dev = _hold_out(train, params.dev_sentences, params.dev_block_sentences, params.seed)
    if params.train_sentences is not None and params.train_sentences < len(kept):
        chosen = random.Random(params.seed).sample(range(len(kept)), params.train_sentences)  # noqa: S311
        kept = [kept[i] for i in sorted(chosen)]
    figures: dict[str, Any] = {
        "repaired": {name: dict(corpus.repairs.counts) for name, corpus in corpora.items()},
        "repaired_first": {name: corpus.repairs.first for name, corpus in corpora.items()},
    }
    _print_repairs(corpora)
    splits = {"train": kept, "dev": dev, "test": corpora["test"].sentences}
    with whole(out, report) as [folder, file]:
        folder.mkdir()
        encode, labels = _tokenizer(encoder, params, types)
        labels.write(folder)
        with progress(sum(map(len, splits.values())), "align", " sentences") as bar:
            for name, sentences in splits.items():
                path = folder / f"{name}.parquet"
                figures[name] = write_aligned(sentences, labels, encode, path, bar.update)
        file.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return {"sentences": sum(map(len, splits.values()))}


def main() -> None:
    """Runs the stage in the current folder."""
    command(
        Align,
        lambda params: align(
            params,
            Path("data/msra"),
            Path("data/encoder"),
            Path("data/aligned"),
            Path("reports/align.json"),
        ),
        "Align a corpus with the encoder's tokens, and split off dev.",
    )


def _read(params: Align, raw: Path) -> dict[str, Corpus]:
    names = ["train", *["dev"] * (raw / "dev.txt").is_file(), "test"]
    return {
        name: read_corpus(raw / f"{name}.txt", params, name != "test" or params.repair_test_tags)
        for name in names
    }


def _print_repairs(corpora: Mapping[str, Corpus]) -> None:
    """Prints each kind of repair, with its first places."""
    for name, corpus in corpora.items():
        for kind, count in corpus.repairs.counts.items():
            places = corpus.repairs.first[kind]
            more = ", ..." if count > len(places) else ""
            line = f"align: {name}: repaired {count} x {kind}, first at {', '.join(places)}{more}"
            print(line, file=sys.stderr)


def _types(corpora: Mapping[str, Corpus]) -> list[str]:
    sentences = chain.from_iterable(corpus.sentences for corpus in corpora.values())
    types = sorted({tag[2:] for sentence in sentences for tag in sentence.tags if tag != "O"})
    if not 0 < len(types) <= TYPES_MAX:
        raise StageError(
            f"the corpus has {len(types)} entity types ({', '.join(types[:5])} ...), not 1 to"
            f" {TYPES_MAX}; check align.format, and that it names the right columns or keys"
        )
    return types


def _hold_out(
    sentences: list[Sentence], wanted: int, block: int, seed: int
) -> tuple[list[Sentence], list[Sentence]]:
    """Splits off about `wanted` sentences, `block` neighbours at a time.

    Repeated sentences go to the same side, whatever their blocks.
    """
    count = Counter(sentence.cells for sentence in sentences)
    starts = [*range(0, len(sentences), block)]
    random.Random(seed).shuffle(starts)  # noqa: S311
    dev: set[str | tuple[str, ...]] = set()
    chosen = 0
    for start in starts:
        if chosen >= wanted:
            break
        texts = {sentence.cells for sentence in sentences[start : start + block]} - dev
        dev |= texts
        chosen += sum(count[text] for text in texts)
    if chosen < wanted or len(dev) == len(count):
        raise StageError(
            f"train has {len(sentences)} sentences, too few to hold out align.dev_sentences ="
            f" {wanted} in blocks of align.dev_block_sentences = {block}; lower them"
        )
    return [s for s in sentences if s.cells not in dev], [s for s in sentences if s.cells in dev]


def _tokenizer(encoder: Path, params: Align, types: Sequence[str]) -> tuple[CellEncoder, Labels]:
    if not (encoder / "config.json").is_file():  # transformers would look for it on the hub
        raise StageError(f"there is no encoder in {encoder}: run `dvc repro download` first")
    from transformers import AutoTokenizer  # 2 s: only once the corpus is known to be good

    tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    most = min(usable_tokens(encoder, params.window_tokens), tokenizer.model_max_length)
    if params.window_tokens > most:
        raise StageError(
            f"align.window_tokens is {params.window_tokens}, but the encoder in {encoder} takes"
            f" at most {most} tokens; lower it"
        )
    cls, sep, unknown = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id)
    special = {"[CLS]": cls, "[SEP]": sep, "[UNK]": unknown}
    lacking = [token for token, id_ in special.items() if id_ is None]
    if not tokenizer.is_fast:
        lacking.append("a fast version")
    if lacking:
        raise StageError(
            f"the tokenizer in {encoder} lacks {', '.join(lacking)}; choose another encoder"
        )
    labels = Labels(
        tags=iob2_tags(types),
        window_tokens=params.window_tokens,
        window_overlap_tokens=params.window_overlap_tokens,
        cls_id=cls,
        sep_id=sep,
        unknown_id=unknown,
        cells=params.cells,
    )
    return CellEncoder(tokenizer.backend_tokenizer, unknown, params.cells), labels


if __name__ == "__main__":
    main()
