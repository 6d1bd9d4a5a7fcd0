"""Reads Parquet of Hugging Face `datasets`: a row per sentence, a tag per token."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs
from stages.corpus.formats.meta import meta_of
from stages.corpus.formats.tagged import TaggedReader
from stages.params.align import Align
from stages.text.sentence import SENTENCES_AT_ONCE, Sentence, as_batches

TEXT = ("string", "large_string", "string_view")


def read_parquet(
    path: Path, params: Align, repair_tags: bool, repairs: Repairs
) -> Iterator[pa.RecordBatch]:
    """Reads the columns that `align.parquet` names; the other plain ones are `Sentence.meta`.

    Columns of maps, structs, images and the like are not read, whatever they are.
    Tags are strings, or the numbers of a `ClassLabel`, whose names `datasets` writes into the file.
    A row without a token is skipped and counted (`empty`), besides the repairs of `TaggedReader`.

    Raises:
        StageError: with the file: it is not Parquet, or lacks those columns or those names; with
            the row, from 0 on as `datasets` counts: not one tag per token, a token or a tag that
            `TaggedReader` refuses.
    """
    return as_batches(_sentences(path, params, repair_tags, repairs))


def _sentences(
    path: Path, params: Align, repair_tags: bool, repairs: Repairs
) -> Iterator[Sentence]:
    sentence_of = TaggedReader(params, repair_tags, repairs)
    for number, (tokens, tags, others) in enumerate(_rows(path, params)):
        if None in (tokens, tags) or len(tokens) != len(tags) or None in [*tokens, *tags]:
            raise StageError(f"{path}: row {number} does not have one tag per token; correct it")
        where = partial("{}: row {}, token {}".format, path, number)
        sentence = sentence_of(tokens, tags, where, meta_of(others))
        if sentence is not None:
            yield sentence
        else:
            repairs.add("empty", f"{path}: row {number}")
    sentence_of.check_cells(path)


def _rows(path: Path, params: Align) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Tokens, tags by name, and the other columns."""
    import pyarrow.parquet as pq
    from datasets import ClassLabel, Features, Value  # 1 s

    tokens, tags = params.parquet.tokens, params.parquet.tags
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        cause = " ".join(str(error).split())
        raise StageError(f"{path} is not Parquet ({cause}); correct align.format") from None
    try:
        features = Features.from_arrow_schema(_needed(file.schema_arrow, tokens, tags))
    except ValueError as error:
        raise StageError(
            f"{path}: {tokens!r} and {tags!r} are not lists that `datasets` reads ({error}); write"
            " the file with to_parquet() of a dataset"
        ) from None
    for key, name in (("tokens", tokens), ("tags", tags)):
        if not hasattr(features.get(name), "feature"):
            raise StageError(
                f"{path} has no list column {name!r}, its columns are"
                f" {', '.join(file.schema_arrow.names)};"
                f" correct align.parquet.{key}"
            )
    kind = features[tags].feature
    if not isinstance(kind, ClassLabel) and getattr(kind, "dtype", "") not in TEXT:
        raise StageError(
            f"{path}: the numbers in {tags!r} have no names; write the file with to_parquet() of"
            " a dataset in which they are a ClassLabel, or write the tags as strings"
        )
    plain = {k: f for k, f in features.items() if isinstance(f, Value | ClassLabel)}
    named = {key: _naming(feature) for key, feature in {**plain, tags: kind}.items()}
    for batch in file.iter_batches(SENTENCES_AT_ONCE, columns=[tokens, tags, *plain]):
        for row in batch.to_pylist():
            tag_names = None if row[tags] is None else [*map(named[tags], row[tags])]
            yield row[tokens], tag_names, {key: named[key](row[key]) for key in plain}


def _needed(schema: Any, *lists: str) -> Any:
    """The part of an Arrow schema with the columns `lists` and those of texts and numbers.

    `datasets` raises where it knows the type of a column or its own name for it no longer.
    """
    from pyarrow import types

    plain = (
        *(types.is_string, types.is_large_string, types.is_string_view, types.is_dictionary),
        *(types.is_boolean, types.is_integer, types.is_floating),
    )
    kept = [
        field
        for field in schema
        if field.name in lists
        or (schema.names.count(field.name) == 1 and any(is_(field.type) for is_ in plain))
    ]
    said = json.loads((schema.metadata or {}).get(b"huggingface", "{}")).get("info") or {}
    features = {
        name: feature
        for name, feature in (said.get("features") or {}).items()
        if name in lists or feature.get("_type") in ("Value", "ClassLabel")
    }
    features = {field.name: features[field.name] for field in kept if field.name in features}
    return pa.schema(kept, {"huggingface": json.dumps({"info": {"features": features}})})


def _naming(feature: Any) -> Callable[[Any], Any]:
    """Maps a ClassLabel's number to its name, or None; other features to themselves."""
    names = dict(enumerate(getattr(feature, "names", ())))
    return names.get if names else lambda value: value
