"""Writes the Parquet table of an aligned split."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stages.text.labels import Labels
from stages.text.sentence import Sentence
from stages.text.split_figures import SplitFigures
from stages.text.tokens import CellEncoder

INT8_LABELS = 128


def write_aligned(
    sentences: Sequence[Sentence],
    labels: Labels,
    encode: CellEncoder,
    path: Path,
    done: Callable[[int], Any],
) -> dict[str, Any]:
    """Writes a split to `path`, in the columns of `stages.text.windows_table.Aligned`.

    The column `meta` is left out if no sentence has metadata.

    A batch of sentences at a time becomes Python objects; `done` is called with the number of each.
    So memory grows by only 63 bytes per character beyond the corpus itself (MSRA).

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
        labels=List(Value(_integer(len(labels.tags)))),
    )
    if any(sentence.meta is not None for sentence in sentences):
        features["meta"] = Value("string")
    counted = SplitFigures(labels, encode)
    parts = []
    for rows in counted.rows(sentences, done):
        parts.append(pa.table({name: rows[name] for name in features}, features.arrow_schema))
        del rows  # else two batches are in memory at once
    table = pa.concat_tables(parts).combine_chunks()
    # With a name, or `datasets` would pickle the whole table to name it by a hash.
    Dataset(table, fingerprint=path.stem).to_parquet(path)
    return counted.figures()


def _integer(labels: int) -> str:
    """The smallest type of so many labels; -100 is in each."""
    return "int8" if labels <= INT8_LABELS else "int16"
