"""Writes the Parquet table of an aligned split."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.windows import encode_windows

SENTENCES_AT_ONCE = 1000


def write_aligned(
    sentences: Sequence[Sentence],
    labels: Labels,
    encode: CellEncoder,
    path: Path,
    done: Callable[[int], Any],
) -> dict[str, Any]:
    """Writes a split to `path`, in the columns of `stages.text.windows_table.Aligned`.

    The column `meta` is left out if no sentence has metadata.

    `SENTENCES_AT_ONCE` sentences at a time become Python objects; `done` is called with the number
    of each batch. So memory grows by only 63 bytes per character beyond the corpus itself (MSRA).

    Returns:
        Counts of the sentences, and of what the rows keep of them.

    Raises:
        StageError: the rows lack a tag of the corpus, or change their order.
    """
    import pyarrow as pa
    from datasets import Dataset, Features, List, Value, disable_progress_bars  # 1 s

    disable_progress_bars()  # `align` shows its own
    features = Features(
        sentence=Value("int32"),
        cells=List(Value("string")),
        input_ids=List(Value("int32")),
        labels=List(Value("int8")),
    )
    if any(sentence.meta is not None for sentence in sentences):
        features["meta"] = Value("string")
    parts = []
    counts: Counter[str] = Counter()
    unknown = 0
    for start in range(0, len(sentences), SENTENCES_AT_ONCE):
        batch = sentences[start : start + SENTENCES_AT_ONCE]
        rows = window_rows(batch, start, labels, encode)
        counts += _counts(batch, rows, labels)
        unknown += _unknown(batch, start, rows, labels, encode)
        parts.append(pa.table({name: rows[name] for name in features}, features.arrow_schema))
        del rows  # else two batches are in memory at once
        done(len(batch))
    table = pa.concat_tables(parts).combine_chunks()
    # With a name, or `datasets` would pickle the whole table to name it by a hash.
    Dataset(table, fingerprint=path.stem).to_parquet(path)
    given, kept = (_entities(tags) for tags in (_tags(sentences), counts.elements()))
    return {
        "sentences": len(sentences),
        labels.cells: counts.total(),
        "entities_in": given.total(),
        "entities_kept": kept.total(),
        "entities": dict(sorted(kept.items())),
        "unknown_rate": unknown / counts.total(),
        "windows": len(table),
    }


def window_rows(
    sentences: Sequence[Sentence], start: int, labels: Labels, encode: CellEncoder
) -> dict[str, list[Any]]:
    """One row per window, in the columns of `Aligned`; the first sentence gets number `start`."""
    label_of = {tag: label for label, tag in enumerate(labels.tags)}
    rows: dict[str, list[Any]] = defaultdict(list)
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


def _counts(
    sentences: Sequence[Sentence], rows: dict[str, list[Any]], labels: Labels
) -> Counter[str]:
    """Counts each tag in the rows.

    Raises:
        StageError: the rows do not have the tags of the sentences.
    """
    of_token = chain.from_iterable(rows["labels"])
    kept = [labels.tags[label] for label in of_token if label != IGNORED]
    given = list(_tags(sentences))
    if kept != given:
        raise StageError(
            f"alignment changed the tags: {_entities(given).total()} entities in,"
            f" {_entities(kept).total()} kept; please report this bug with the corpus"
        )
    return Counter(kept)


def _unknown(
    sentences: Sequence[Sentence],
    start: int,
    rows: dict[str, list[Any]],
    labels: Labels,
    encode: CellEncoder,
) -> int:
    """How many cells have [UNK] among their tokens; SentencePiece puts a known "▁" before it.

    Only the few sentences with an [UNK] in their rows are encoded again, whole.
    """
    pairs = zip(rows["sentence"], rows["input_ids"], strict=True)
    cells = 0
    for number in {number for number, ids in pairs if labels.unknown_id in ids}:
        ids, first = encode(sentences[number - start].cells)
        at = (index for index, token in enumerate(ids) if token == labels.unknown_id)
        cells += len({bisect_right(first, index) for index in at})
    return cells


def _tags(sentences: Sequence[Sentence]) -> Iterator[str]:
    return chain.from_iterable(sentence.tags for sentence in sentences)


def _entities(tags: Iterable[str]) -> Counter[str]:
    return Counter(tag[2:] for tag in tags if tag.startswith("B-"))
