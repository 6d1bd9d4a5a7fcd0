"""Finds what keeps a model from learning a corpus, or its scores from meaning what they seem to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from stages.corpus.corpus import Corpus, among
from stages.corpus.splits import Splits

# Shares above which a warning is due, beside what MSRA has.
UNKNOWN_SHARE = 0.01  # of cells, 0.0006: the model cannot tell one unknown cell from another
REPAIRED_SHARE = 0.005  # of a file's entities, 0: F1 of two seeds differs by 0.003
EMPTY_SHARE = 0.01  # of texts, 0.00002 in its Parquet: more is the mistake of a converter
REPEATED_SHARE = 0.05  # of train, 0.001: a repeated sentence weighs more and teaches nothing
LEAKED_SHARE = 0.01  # of test, 0: test F1 may rise by as much
WINDOWED_SHARE = 0.1  # of sentences, 0.02 in train, 0.04 in test: overlaps are computed twice
# Below this many, an F1 of 0.9 has a 95 % interval wider than 0.1 to either side.
TEST_ENTITIES = 30

# Repairs that change where an entity is, not only how its file is written.
OF_ENTITIES = ("stray_i", "unclosed", "empty_tag", "space", "cut_word")
# Of spans that overlap: entities that neither the model nor a score sees.
LEFT_OUT = ("nested", "crossing", "two_types")
SHOWN = 5  # examples in a message


class DataWarning(TypedDict):
    """What was found, with figures, and what to do about it; each one sentence."""

    message: str
    remedy: str


def data_warnings(
    corpora: Mapping[str, Corpus],
    splits: Splits,
    figures: Mapping[str, Any],
    types: Sequence[str],
) -> list[DataWarning]:
    """The warnings about a corpus, the most harmful first.

    Args:
        corpora: the files, by split.
        splits: what became of them: dev is held out of train.
        figures: of each split, by `stages.text.split_figures`; without an encoder those of tokens
            may be missing.
        types: entity types of the model.
    """
    return [
        *_unknown(figures),
        *_left_out(corpora),
        *_repaired(corpora),
        *_types(figures, types),
        *_leaked(splits),
        *_scored(corpora["train"], splits),
        *_empty(corpora),
        *_repeated(corpora),
        *_windowed(figures),
    ]


def shown(cell: str) -> str:
    """A cell as it can be read: U+3000 for what has no ink."""
    cell = cell.strip(" ") or cell
    if cell.isprintable() and not cell.isspace():
        return cell
    return " ".join(f"U+{ord(character):04X}" for character in cell)


def percent(share: float) -> str:
    """`0.123` → `12.3 %`."""
    return f"{100 * share:.1f} %"


def _unknown(figures: Mapping[str, Any]) -> Iterator[DataWarning]:
    if "unknown_rate" not in figures["test"]:
        return
    rates = {split: figures[split]["unknown_rate"] for split in ("train", "dev", "test")}
    if max(rates.values()) <= UNKNOWN_SHARE:
        return
    worst = max(rates, key=lambda split: rates[split])
    most = figures[worst]["unknown_most"]
    examples = ", ".join(f"{shown(cell)} {count:,}" for cell, count in most[:SHOWN])
    cells = next(kind for kind in ("characters", "words") if kind in figures[worst])
    total = sum(count for _, count in most)
    remedy = "name an encoder whose vocabulary has them (download.encoder)"
    if sum(count for cell, count in most if _traditional(cell)) > total / 2:
        remedy = (
            "most of these are traditional characters: name an encoder of traditional Chinese"
            " (download.encoder), or convert the corpus"
        )
    elif sum(count for cell, count in most if not cell.strip()) > total / 2:
        remedy = "most of this is white space: delete it from the corpus, if texts will have none"
    shares = ", ".join(f"{percent(rate)} of {split}" for split, rate in rates.items())
    yield DataWarning(
        message=f"{shares} are {cells} that the encoder does not know; most often in {worst}:"
        f" {examples}",
        remedy=remedy,
    )


def _traditional(cell: str) -> bool:
    """Whether Big5, of traditional Chinese, has it and GB 2312, of simplified, has not."""

    def has(encoding: str) -> bool:
        try:
            return bool(cell.encode(encoding))
        except UnicodeEncodeError:
            return False

    return has("big5") and not has("gb2312")


def _left_out(corpora: Mapping[str, Corpus]) -> Iterator[DataWarning]:
    for split, corpus in corpora.items():
        kinds = {kind: corpus.repairs.counts[kind] for kind in LEFT_OUT}
        if left_out := sum(kinds.values()):
            counts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items() if count)
            yield DataWarning(
                message=f"{left_out:,} entities of {split} overlap one that stays, so they are left"
                f" out and no score counts them: {counts}",
                remedy="if they matter, set align.nested to the other choice, or train a second"
                " model on them; `repaired_first` in reports/align.json names the first places",
            )


def _repaired(corpora: Mapping[str, Corpus]) -> Iterator[DataWarning]:
    for split, corpus in corpora.items():
        kinds = {kind: n for kind, n in corpus.repairs.counts.items() if kind in OF_ENTITIES}
        entities = sum(count for tag, count in corpus.tags.items() if tag.startswith("B-"))
        if sum(kinds.values()) > REPAIRED_SHARE * entities:
            counts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())
            yield DataWarning(
                message=f"{sum(kinds.values()):,} tags or spans of {split} were repaired, which has"
                f" {entities:,} entities: {counts}",
                remedy="correct the file, or align.scheme: `repaired_first` in reports/align.json"
                " names the first places of each kind",
            )


def _types(figures: Mapping[str, Any], types: Sequence[str]) -> Iterator[DataWarning]:
    def count(split: str, type_: str) -> int:
        return int(figures[split]["entities"].get(type_, 0))

    unlearned = [t for t in types if not count("train", t)]
    unseen = [f"{t} {count('test', t):,}" for t in unlearned if count("test", t)]
    absent = [t for t in unlearned if not count("test", t)]
    rare = [t for t in types if t not in unlearned and count("test", t) < TEST_ENTITIES]
    if unseen:
        yield DataWarning(
            message=f"test has entities of types that train has not: {', '.join(unseen)}",
            remedy="add sentences with them to train, or leave these types out of test",
        )
    if absent:
        yield DataWarning(
            message=f"neither train nor test has an entity of {', '.join(absent)}",
            remedy="correct align.types, or the types in the corpus",
        )
    if rare:
        counts = ", ".join(f"{t} {count('test', t):,}" for t in rare)
        yield DataWarning(
            message=f"test has fewer than {TEST_ENTITIES} entities of {counts}, so their F1 says"
            " little",
            remedy="add test sentences with these types, or read their scores with the interval",
        )


def _leaked(splits: Splits) -> Iterator[DataWarning]:
    train, test = splits["train"], splits["test"].texts
    # Those of train that test has are few: sorted, all of train would be another eight bytes each.
    common = train.corpus.texts[train.kept & among(train.corpus.texts, np.sort(test))]
    leaked = int(among(test, np.sort(common)).sum())
    if leaked > LEAKED_SHARE * len(splits["test"]):
        yield DataWarning(
            message=f"{leaked:,} of {len(splits['test']):,} test sentences are in train too, so F1"
            " is too high",
            remedy="delete them from train, or from test",
        )


def _scored(train: Corpus, splits: Splits) -> Iterator[DataWarning]:
    """Of a growing source, in which nobody may have looked before it is trained on."""
    ends = np.cumsum(train.sizes)[:-1]
    for split in ("test", "dev") if train.added else ():
        own, *parts = np.split(among(train.texts, np.sort(splits[split].texts)), ends)
        counts = {name: int(part.sum()) for name, part in zip(train.added, parts, strict=True)}
        found = {name: count for name, count in counts.items() if count}
        if found:
            most = sorted(found, key=lambda name: -found[name])[:SHOWN]
            files = ", ".join(f"{name} {found[name]:,}" for name in most)
            yield DataWarning(
                message=f"{sum(found.values()):,} of {len(train) - len(own):,} sentences of the"
                f" growing source are in {split} too, so they were left out of train; most in:"
                f" {files}",
                remedy="delete them there, if others are to be labelled in their place",
            )


def _empty(corpora: Mapping[str, Corpus]) -> Iterator[DataWarning]:
    for split, corpus in corpora.items():
        empty, others = corpus.repairs.counts["empty"], len(corpus)
        if empty > EMPTY_SHARE * (empty + others):
            yield DataWarning(
                message=f"{empty:,} of {empty + others:,} texts of {split} are empty",
                remedy="check what wrote the file: the text may be under another key or column",
            )


def _repeated(corpora: Mapping[str, Corpus]) -> Iterator[DataWarning]:
    texts = np.sort(corpora["train"].texts)
    repeated = int((texts[1:] == texts[:-1]).sum())
    if repeated > REPEATED_SHARE * len(texts):
        yield DataWarning(
            message=f"{repeated:,} of {len(texts):,} train sentences repeat an earlier one",
            remedy="delete the repeated ones, unless their number is meant",
        )


def _windowed(figures: Mapping[str, Any]) -> Iterator[DataWarning]:
    if "windowed_sentences" not in figures["test"]:
        return
    shares = {
        split: figures[split]["windowed_sentences"] / figures[split]["sentences"]
        for split in ("train", "test")
    }
    if max(shares.values()) > WINDOWED_SHARE:
        found = ", ".join(f"{percent(share)} of {split}" for split, share in shares.items())
        yield DataWarning(
            message=f"{found} are sentences longer than a window, so they are read in parts",
            remedy="raise align.window_tokens as far as the encoder allows, or end sentences"
            " earlier in the files",
        )
