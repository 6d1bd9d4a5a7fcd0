"""Writes and reads the Parquet files of aligned splits: a row a window."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.windows import windows

SENTENCES_AT_ONCE = 1000


@dataclass(frozen=True)
class Aligned:
    """A split. Every list has an item a window; windows of a sentence stand together."""

    sentence: list[int]
    """Number of the window's sentence: 0, 0, 1, 2, ..."""
    cells: list[list[str]]
    """The cells that the window owns, as the corpus has them: see `stages.text.cells`."""
    input_ids: list[NDArray[np.integer]]
    """Token ids with [CLS] and [SEP]."""
    labels: list[NDArray[np.integer]]
    """Of each token: the label of the owned cell that starts there, else -100."""
    meta: list[str] | None = None
    """What else the corpus says of the window's sentence, a JSON object; None: nothing of any."""

    @cached_property
    def scored(self) -> list[NDArray[np.bool_]]:
        """Which tokens stand for an owned cell."""
        return [labels != IGNORED for labels in self.labels]

    def sentence_cells(self) -> list[list[str]]:
        """The cells of each whole sentence."""
        result: list[list[str]] = []
        for number, cells in zip(self.sentence, self.cells, strict=True):
            if number == len(result):
                result.append([])
            result[-1] += cells
        return result

    def sentence_meta(self) -> list[dict[str, str | int | float | bool]]:
        """What else the corpus says of each sentence: the keys that it has beside text and tags."""
        first = np.flatnonzero(np.diff(np.asarray(self.sentence), prepend=-1))
        return [json.loads(self.meta[window]) if self.meta else {} for window in first]

    def sentence_labels(self) -> list[NDArray[np.integer]]:
        """The gold labels of each whole sentence, one a cell."""
        parts: list[list[NDArray[np.integer]]] = []
        for number, labels in zip(self.sentence, self.labels, strict=True):
            if number == len(parts):
                parts.append([])
            parts[-1].append(labels[labels != IGNORED])
        return [np.concatenate(part) for part in parts]


def read_aligned(path: Path) -> Aligned:
    """Reads one split.

    Raises:
        StageError: if `align` has not written it.
    """
    if not path.is_file():
        raise StageError(f"{path} is not here: run `dvc repro align` first")
    table = pq.read_table(path)
    return Aligned(
        sentence=table["sentence"].to_pylist(),
        cells=table["cells"].to_pylist(),
        input_ids=_arrays(table["input_ids"]),
        labels=_arrays(table["labels"]),
        meta=table["meta"].to_pylist() if "meta" in table.column_names else None,
    )


def _arrays(column: "pq.ChunkedArray") -> list[NDArray[np.integer]]:
    joined = column.combine_chunks()
    return np.split(joined.flatten().to_numpy(), joined.offsets.to_numpy()[1:-1])


def write_rows(
    sentences: Sequence[Sentence],
    labels: Labels,
    encode: CellEncoder,
    path: Path,
    done: Callable[[int], Any],
) -> dict[str, Any]:
    """Writes a split to `path`, in the columns of `stages.text.windows_table.Aligned`.

    `meta` is one of them if a sentence has any.

    Python objects are made of `SENTENCES_AT_ONCE` sentences at a time, and `done` is told of each
    lot. With the corpus itself, memory so grows by 63 bytes a character (MSRA once, then twice).

    Returns:
        Counts of the corpus and of what the rows hold of it.

    Raises:
        StageError: the rows do not hold each tag of the corpus, in its order.
    """
    import pyarrow as pa
    from datasets import Dataset, Features, List, Value, disable_progress_bars  # 1 s

    disable_progress_bars()  # a bar of our own stands there
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
    for start in range(0, len(sentences), SENTENCES_AT_ONCE):
        some = sentences[start : start + SENTENCES_AT_ONCE]
        rows = window_rows(some, start, labels, encode)
        counts += _counts(some, rows, labels)
        parts.append(pa.table({name: rows[name] for name in features}, features.arrow_schema))
        del rows  # or it stays while the next lot is made
        done(len(some))
    table = pa.concat_tables(parts).combine_chunks()
    # Named, since `datasets` would pickle the whole table to name it by a hash.
    Dataset(table, fingerprint=path.stem).to_parquet(path)
    unknown = counts.pop("unknown", 0)
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
    """A row a window, in the columns of `Aligned`; the first sentence has the number `start`."""
    label_of = {tag: label for label, tag in enumerate(labels.tags)}
    rows: dict[str, list[Any]] = defaultdict(list)
    for number, sentence in enumerate(sentences, start):
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
            rows["meta"].append(sentence.meta or "{}")
    return rows


def _counts(
    sentences: Sequence[Sentence], rows: dict[str, list[Any]], labels: Labels
) -> Counter[str]:
    """Of each tag in the rows, which must hold those of the sentences; and of `unknown` tokens."""
    tokens, of_token = (chain.from_iterable(rows[name]) for name in ("input_ids", "labels"))
    pairs = zip(tokens, of_token, strict=True)
    scored = [(token, labels.tags[label]) for token, label in pairs if label != IGNORED]
    kept = [tag for _, tag in scored]
    given = list(_tags(sentences))
    if kept != given:
        raise StageError(
            f"alignment lost something: {_entities(given).total()} entities in,"
            f" {_entities(kept).total()} kept; please report it with the corpus"
        )
    unknown = sum(token == labels.unknown_id for token, _ in scored)
    return Counter({**Counter(kept), "unknown": unknown})


def _tags(sentences: Sequence[Sentence]) -> Iterator[str]:
    return chain.from_iterable(sentence.tags for sentence in sentences)


def _entities(tags: Iterable[str]) -> Counter[str]:
    return Counter(tag[2:] for tag in tags if tag.startswith("B-"))
