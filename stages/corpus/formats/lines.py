"""Reads a text file line by line."""

from collections.abc import Iterator
from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs

CONVERT = "`python -m pipelines convert` reads exports of brat, CLUENER, doccano and Label Studio"


def lines(path: Path, repairs: Repairs) -> Iterator[tuple[int, str]]:
    r"""Yields the number of each line, from 1 on, and the line without its end.

    A byte order mark (`bom`) and CRLF line ends (`crlf`) are removed and counted in `repairs`.

    Raises:
        StageError: with file and line: not UTF-8.
    """
    with path.open("rb") as file:
        # As bytes, where only \n ends a line: U+2028 and the like may be cells.
        for number, data in enumerate(file, start=1):
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
