"""Reads the records of a JSON file: an object a line, or one array of objects."""

import json
from collections.abc import Iterator
from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs
from stages.corpus.formats.lines import lines


def records(path: Path, repairs: Repairs) -> Iterator[tuple[str, str]]:
    """The place and the JSON of each record: a line, or an element of the file's one array.

    Raises:
        StageError: with file and line: not UTF-8; it begins with [ but is not one array.
    """
    rows = lines(path, repairs)
    begun = False
    for number, line in rows:
        if not line.strip():
            if line:
                repairs.add("blank", f"{path}:{number}")
        elif begun or not line.lstrip().startswith("["):
            begun = True
            yield f"{path}:{number}", line
        else:
            yield from _elements(path, "\n".join([line, *(line for _, line in rows)]))


def _elements(path: Path, text: str) -> Iterator[tuple[str, str]]:
    try:
        array = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StageError(
            f"{path} begins with [, but is not one JSON array ({error}); write one object per line"
        ) from None
    for index, record in enumerate(array):
        yield f"{path}: record {index}", json.dumps(record)
