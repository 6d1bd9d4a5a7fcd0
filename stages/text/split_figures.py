"""Makes the windows of a split, and counts what they keep of it."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.windows import encode_windows

SENTENCES_AT_ONCE = 1000
UNKNOWN_NAMED = 10

Rows = dict[str, list[Any]]


class SplitFigures:
    """Counts the sentences of a split, and what their windows keep of them."""

    def __init__(self, labels: Labels, encode: CellEncoder) -> None:
        """Takes what makes windows of sentences."""
        self._labels = labels
        self._encode = encode
        self._given: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._sentences = self._windows = self._windowed = self._longest_tokens = 0

    def rows(self, sentences: Sequence[Sentence], done: Callable[[int], Any]) -> Iterator[Rows]:
        """Yields the windows of `SENTENCES_AT_ONCE` sentences at a time, see `window_rows`.

        `done` is called with the number of each batch.

        Raises:
            StageError: the windows lack a tag of the corpus, or change their order.
        """
        for start in range(0, len(sentences), SENTENCES_AT_ONCE):
            batch = sentences[start : start + SENTENCES_AT_ONCE]
            rows = window_rows(batch, start, self._labels, self._encode)
            self._count(batch, start, rows)
            yield rows
            del rows  # else two batches are in memory at once
            done(len(batch))

    def figures(self) -> dict[str, Any]:
        """The counts, by their keys in reports/align.json."""
        cells = self._kept.total()
        entities = _entities(self._kept)
        most = sorted(self._unknown.items(), key=lambda item: (-item[1], item[0]))
        return {
            "sentences": self._sentences,
            self._labels.cells: cells,
            "entities_in": _entities(self._given).total(),
            "entities_kept": entities.total(),
            "entities": dict(sorted(entities.items())),
            "unknown_rate": self._unknown.total() / cells,
            "unknown_most": [[cell, count] for cell, count in most[:UNKNOWN_NAMED]],
            "windows": self._windows,
            "windowed_sentences": self._windowed,
            "longest_tokens": self._longest_tokens,
        }

    def _count(self, sentences: Sequence[Sentence], start: int, rows: Rows) -> None:
        labels, encode = self._labels, self._encode
        self._sentences += len(sentences)
        self._windows += len(rows["sentence"])
        self._given += Counter(_tags(sentences))
        self._kept += _kept(sentences, rows, labels)
        self._unknown += _unknown(sentences, start, rows, labels, encode)
        windows = Counter(rows["sentence"])
        self._windowed += sum(count > 1 for count in windows.values())
        most = max(windows.values())
        if most == 1:
            tokens = [len(ids) - 2 for ids in rows["input_ids"]]
        else:  # few, so they are encoded again
            longest = (number for number, count in windows.items() if count == most)
            tokens = [len(encode(sentences[number - start].cells)[0]) for number in longest]
        self._longest_tokens = max(self._longest_tokens, *tokens)


def window_rows(
    sentences: Sequence[Sentence], start: int, labels: Labels, encode: CellEncoder
) -> Rows:
    """One row per window, in the columns of `Aligned`; the first sentence gets number `start`."""
    label_of = {tag: label for label, tag in enumerate(labels.tags)}
    rows: Rows = defaultdict(list)
    for number, sentence in enumerate(sentences, start):
        for window in encode_windows(sentence.cells, labels, encode):
            of_token = [IGNORED] * len(window.input_ids)
            for cell, position in zip(window.cells, window.positions, strict=True):
                of_token[position] = label_of[sentence.tags[cell]]
            rows["sentence"].append(number)
            rows["cells"].append([sentence.cells[cell] for cell in window.cells])
            rows["input_ids"].append(window.input_ids)
            rows["labels"].append(of_token)
            rows["meta"].append(sentence.meta or "{}")
    return rows


def _kept(sentences: Sequence[Sentence], rows: Rows, labels: Labels) -> Counter[str]:
    """Counts each tag in the rows.

    Raises:
        StageError: the rows do not have the tags of the sentences.
    """
    of_token = chain.from_iterable(rows["labels"])
    kept = [labels.tags[label] for label in of_token if label != IGNORED]
    given = list(_tags(sentences))
    if kept != given:
        raise StageError(
            f"alignment changed the tags: {_entities(Counter(given)).total()} entities in,"
            f" {_entities(Counter(kept)).total()} kept; please report this bug with the corpus"
        )
    return Counter(kept)


def _unknown(
    sentences: Sequence[Sentence],
    start: int,
    rows: Rows,
    labels: Labels,
    encode: CellEncoder,
) -> Counter[str]:
    """The cells with [UNK] among their tokens; SentencePiece puts a known "▁" before a word.

    Only the few sentences with an [UNK] in their rows are encoded again, whole.
    """
    pairs = zip(rows["sentence"], rows["input_ids"], strict=True)
    unknown: Counter[str] = Counter()
    for number in {number for number, ids in pairs if labels.unknown_id in ids}:
        cells = sentences[number - start].cells
        ids, first = encode(cells)
        at = (index for index, token in enumerate(ids) if token == labels.unknown_id)
        unknown.update(cells[cell] for cell in {bisect_right(first, index) - 1 for index in at})
    return unknown


def _tags(sentences: Sequence[Sentence]) -> Iterator[str]:
    return chain.from_iterable(sentence.tags for sentence in sentences)


def _entities(tags: Counter[str]) -> Counter[str]:
    """How many entities of each type begin in so many of each tag."""
    return Counter({tag[2:]: count for tag, count in tags.items() if tag.startswith("B-")})
