"""Reads a text file line by line."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs

CONVERT = "`python -m pipelines convert` reads exports of brat, CLUENER, doccano and Label Studio"


def lines(
    path: Path, repairs: Repairs, some: IO[bytes] | None = None, first: int = 1
) -> Iterator[tuple[int, str]]:
    r"""Yields the number of each line, and the line without its end.

    Of the whole file `path`, or of `some` of its lines with their ends, from number `first` on.

    A byte order mark (`bom`) and CRLF line ends (`crlf`) are removed and counted in `repairs`.

    Raises:
        StageError: with file and line: not UTF-8.
    """
    # As bytes, where only \n ends a line: U+2028 and the like may be cells.
    with some or path.open("rb") as file:
        for number, data in enumerate(file, start=first):
            try:
                line = data.decode("utf-8").removesuffix("\n")
            except UnicodeDecodeError as error:
                raise StageError(
                    f"{path}:{number}: not UTF-8 (byte {data[error.start]:#04x});"
                    " convert the file to UTF-8"
                ) from None
            if number == 1 and line.startswith("\ufeff"):
                repairs.add("bom", f"{path}:1")
                line = line[1:]
            if line.endswith("\r"):
                repairs.add("crlf", f"{path}:{number}")
                line = line[:-1]
            yield number, line
