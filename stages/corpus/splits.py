"""Makes the splits of a corpus: reads the files, finds the entity types, holds dev out of train."""

import random
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus
from stages.corpus.formats.read import read_corpus
from stages.params.align import TYPES_MAX, Align
from stages.text.sentence import Sentence

Splits = dict[str, list[Sentence]]
"""Sentences of train, dev and test."""


def read_split(split: str, path: Path, params: Align) -> Corpus:
    """Reads the file `path` of a split; test is repaired only with `repair_test_tags`.

    Raises:
        StageError: as `read_corpus`.
    """
    return read_corpus(path, params, split != "test" or params.repair_test_tags)


def entity_types(corpora: Mapping[str, Corpus], params: Align) -> list[str]:
    """The types of `align.types`, or else all that the corpora have.

    Raises:
        StageError: they have none, or too many.
    """
    if params.types:
        return params.types
    sentences = chain.from_iterable(corpus.sentences for corpus in corpora.values())
    types = sorted({tag[2:] for sentence in sentences for tag in sentence.tags if tag != "O"})
    if not 0 < len(types) <= TYPES_MAX:
        raise StageError(
            f"the corpus has {len(types)} entity types ({', '.join(types[:5])} ...), not 1 to"
            f" {TYPES_MAX}; check align.format, and that it names the right columns or keys"
        )
    return types


def split_corpora(corpora: Mapping[str, Corpus], params: Align) -> Splits:
    """Train, dev and test; without a dev corpus, dev is held out of train.

    Raises:
        StageError: train has too few sentences for that.
    """
    kept = corpora["train"].sentences
    if "dev" in corpora:
        dev = corpora["dev"].sentences
    else:
        kept, dev = _hold_out(kept, params.dev_sentences, params.dev_block_sentences, params.seed)
    if params.train_sentences is not None and params.train_sentences < len(kept):
        chosen = random.Random(params.seed).sample(range(len(kept)), params.train_sentences)  # noqa: S311
        kept = [kept[i] for i in sorted(chosen)]
    return {"train": kept, "dev": dev, "test": corpora["test"].sentences}


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
