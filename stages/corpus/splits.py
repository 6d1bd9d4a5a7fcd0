"""Makes the splits of a corpus: reads the files, finds the entity types, holds dev out of train."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus, among
from stages.corpus.formats.read import read_corpus
from stages.params.align import TYPES_MAX, Align


@dataclass(frozen=True)
class Split:
    """Some sentences of a corpus."""

    corpus: Corpus
    kept: NDArray[np.bool_]
    """Which of its sentences."""

    @classmethod
    def all_of(cls, corpus: Corpus) -> Self:
        """All sentences of the corpus."""
        return cls(corpus, np.ones(len(corpus), dtype=np.bool_))

    def __len__(self) -> int:
        """The number of sentences."""
        return int(self.kept.sum())

    @property
    def texts(self) -> NDArray[np.uint64]:
        """Of each sentence, a hash of its cells."""
        return self.corpus.texts[self.kept]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The sentences, as `Corpus.batches`; one iteration at a time."""
        start = 0
        for batch in self.corpus.batches():
            some = batch.filter(pa.array(self.kept[start : start + len(batch)]))
            start += len(batch)
            if len(some):
                yield some


Splits = dict[str, Split]
"""Train, dev and test."""


def read_split(
    split: str,
    path: Path,
    params: Align,
    scratch: Path | None = None,
    added: Mapping[Path, str] | None = None,
) -> Corpus:
    """Reads the file `path` of a split, and what a growing source has `added` to it.

    Test is repaired only with `repair_test_tags`.

    Raises:
        StageError: as `read_corpus`.
    """
    repair = split != "test" or params.repair_test_tags
    return read_corpus(path, params, repair, scratch, added)


def entity_types(corpora: Mapping[str, Corpus], params: Align) -> list[str]:
    """The types of `align.types`, or else all that the corpora have.

    Raises:
        StageError: they have none, or too many.
    """
    if params.types:
        return params.types
    types = sorted({tag[2:] for c in corpora.values() for tag in c.tags if tag != "O"})
    if not 0 < len(types) <= TYPES_MAX:
        raise StageError(
            f"the corpus has {len(types)} entity types ({', '.join(types[:5])} ...), not 1 to"
            f" {TYPES_MAX}; check align.format, and that it names the right columns or keys"
        )
    return types


def split_corpora(corpora: Mapping[str, Corpus], params: Align) -> Splits:
    """Train, dev and test; without a dev corpus, dev is held out of train.

    What a growing source added to train changes neither dev nor test, so that the scores of two
    runs can be compared. Of its sentences train has none that dev or test has too.

    Raises:
        StageError: train has too few sentences for that.
    """
    train, test = corpora["train"], corpora["test"]
    own = train.sizes[0]
    held_out = np.zeros(len(train), dtype=np.bool_)
    if "dev" in corpora:
        dev = Split.all_of(corpora["dev"])
    else:
        held_out[:own] = _hold_out(
            train.texts[:own], params.dev_sentences, params.dev_block_sentences, params.seed
        )
        dev = Split(train, held_out)
    kept = ~held_out
    kept[own:] = ~among(train.texts[own:], np.sort(np.concatenate([dev.texts, test.texts])))
    if params.train_sentences is not None and params.train_sentences < kept.sum():
        rows = np.flatnonzero(kept)
        chosen = random.Random(params.seed).sample(range(len(rows)), params.train_sentences)  # noqa: S311
        kept = np.zeros(len(train), dtype=np.bool_)
        kept[rows[chosen]] = True
    return {"train": Split(train, kept), "dev": dev, "test": Split.all_of(test)}


def _hold_out(texts: NDArray[np.uint64], wanted: int, block: int, seed: int) -> NDArray[np.bool_]:
    """Which sentences are split off: about `wanted`, `block` neighbours at a time.

    Repeated sentences, equal in `texts`, go to the same side, whatever their blocks.
    """
    ordered = np.sort(texts)
    starts = [*range(0, len(texts), block)]
    random.Random(seed).shuffle(starts)  # noqa: S311
    dev = set[int]()
    chosen = 0
    for start in starts:
        if chosen >= wanted:
            break
        new = [text for text in set(texts[start : start + block].tolist()) if text not in dev]
        dev.update(new)
        one = np.array(new, np.uint64)
        first, last = (np.searchsorted(ordered, one, side) for side in ("left", "right"))
        chosen += int((last - first).sum())
    if chosen < wanted or chosen == len(texts):
        raise StageError(
            f"train has {len(texts)} sentences, too few to hold out align.dev_sentences ="
            f" {wanted} in blocks of align.dev_block_sentences = {block}; lower them"
        )
    return among(texts, np.array(sorted(dev), np.uint64))
