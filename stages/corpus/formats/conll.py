"""Reads CoNLL columns: one token and its tag per line, a blank line between sentences."""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import pyarrow as pa

from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs
from stages.corpus.formats.lines import CONVERT, lines
from stages.corpus.formats.plain_conll import blocks, plain_sentences
from stages.corpus.formats.tagged import TaggedReader
from stages.params.align import Align, Conll
from stages.text.sentence import Sentence, as_batches

BLOCK_BYTES, PART_BYTES, LONG_BYTES = 2**16, 2**12, 2**22
BLANKS = re.compile("[ \t]+")  # not \s: U+3000 and the like are tokens
DOCUMENT = "-DOCSTART-"
EXPORT = re.compile(r"T\d+\t|[{[]")  # brat's annotations, JSON
TAG = re.compile("O|[A-Z]-.+")  # whether scheme and types allow it is checked later


def read_conll(
    path: Path, params: Align, repair_tags: bool, repairs: Repairs
) -> Iterator[pa.RecordBatch]:
    """Reads the columns that `align.conll` names.

    A line that begins with `align.conll.comment` is skipped; if it has all columns, with a tag in
    that of tags, it is a token and counted (`comment_token`): with `# ` and columns between spaces
    the token "#" looks like a comment. One with -DOCSTART- ends a sentence. A line of spaces or
    tabs is read as a blank one and counted (`blank`), besides the repairs of `lines` and
    `TaggedReader`.

    Raises:
        StageError: with file and line: not UTF-8, another number of columns, a token or a tag
            that `TaggedReader` refuses.
    """
    sentence_of = TaggedReader(params, repair_tags, repairs)
    number = 1
    with path.open("rb") as file:
        for block in blocks(file, BLOCK_BYTES):
            # Of a line that is no token there are as few copies as can be.
            odd = len(block) > LONG_BYTES
            whole = None if odd else plain_sentences(block, params)
            # A line that is not plain makes its neighbours slow, so these are few.
            for part in [block] if whole or odd else blocks(BytesIO(block), PART_BYTES):
                batch = None if odd else whole or plain_sentences(part, params)
                if batch:
                    sentence_of.skip(len(batch["cells"].flatten()))
                    yield batch
                else:
                    numbered = lines(path, repairs, BytesIO(part), number)
                    yield from as_batches(_sentences(numbered, path, params, sentence_of))
                number += part.count(b"\n")
    sentence_of.check_cells(path)


def _sentences(
    numbered: Iterable[tuple[int, str]], path: Path, params: Align, sentence_of: TaggedReader
) -> Iterator[Sentence]:
    """The sentences of some lines, which may need repairs."""
    tokens: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []

    def where(index: int) -> str:
        return f"{path}:{numbers[index]}"

    def end() -> Iterator[Sentence]:
        if tokens:
            sentence = sentence_of(tokens, tags, where)
            if sentence is not None:
                yield sentence
            for column in (tokens, tags, numbers):
                column.clear()

    for number, line in numbered:
        # Not strip(): U+3000 or U+2028 alone is a character without its tag.
        if not line.strip(" \t"):
            if line:
                sentence_of.repairs.add("blank", f"{path}:{number}")
            yield from end()
        elif line.startswith(DOCUMENT):
            yield from end()
        elif columns := _columns(line, f"{path}:{number}", params.conll, sentence_of.repairs):
            tokens.append(columns[params.conll.columns.index("token")])
            tags.append(columns[params.conll.columns.index("tag")])
            numbers.append(number)
    yield from end()


def _columns(line: str, where: str, conll: Conll, repairs: Repairs) -> list[str]:
    """The columns of a line; none of a comment."""
    names, separator, comment = conll.columns, conll.separator, conll.comment
    columns = BLANKS.split(line.strip(" \t")) if separator is None else line.split(separator)
    if comment is not None and line.startswith(comment):
        if len(columns) != len(names) or not TAG.fullmatch(columns[names.index("tag")]):
            return []
        repairs.add("comment_token", where)
    if len(columns) != len(names):
        between = {"\t": "a tab", " ": "a space", None: "spaces or tabs"}.get(separator)
        raise StageError(
            f"{where}: {len(columns)} columns in {line[:40]!r}, but align.conll.columns has"
            f" {len(names)} ({', '.join(names)}) with {between or repr(separator)} between;"
            " correct one of the two" + f"; {CONVERT}" * bool(EXPORT.match(line))
        )
    return columns
