"""Reads CoNLL columns: one token and its tag per line, a blank line between sentences."""

import re
from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus
from stages.corpus.formats.lines import CONVERT, lines
from stages.corpus.formats.tagged import TaggedReader
from stages.params.align import Align
from stages.text.sentence import Sentence

BLANKS = re.compile("[ \t]+")  # not \s: U+3000 and the like are tokens
DOCUMENT = "-DOCSTART-"
EXPORT = re.compile(r"T\d+\t|[{[]")  # brat's annotations, JSON
TAG = re.compile("O|[A-Z]-.+")  # whether scheme and types allow it is checked later


def read_conll(path: Path, params: Align, repair_tags: bool) -> Corpus:
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
    names, separator, comment = params.conll.columns, params.conll.separator, params.conll.comment
    token_column, tag_column = names.index("token"), names.index("tag")
    sentence_of = TaggedReader(params, repair_tags)
    sentences: list[Sentence] = []
    tokens: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []

    def where(index: int) -> str:
        return f"{path}:{numbers[index]}"

    def end() -> None:
        if tokens:
            sentence = sentence_of(tokens, tags, where)
            if sentence is not None:
                sentences.append(sentence)
            for column in (tokens, tags, numbers):
                column.clear()

    for number, line in lines(path, sentence_of.repairs):
        # Not strip(): U+3000 or U+2028 alone is a character without its tag.
        if not line.strip(" \t"):
            if line:
                sentence_of.repairs.add("blank", f"{path}:{number}")
            end()
            continue
        if line.startswith(DOCUMENT):
            end()
            continue
        columns = BLANKS.split(line.strip(" \t")) if separator is None else line.split(separator)
        if comment is not None and line.startswith(comment):
            if len(columns) != len(names) or not TAG.fullmatch(columns[tag_column]):
                continue
            sentence_of.repairs.add("comment_token", f"{path}:{number}")
        if len(columns) != len(names):
            between = {"\t": "a tab", " ": "a space", None: "spaces or tabs"}.get(separator)
            raise StageError(
                f"{path}:{number}: {len(columns)} columns in"
                f" {line[:40]!r}, but align.conll.columns has"
                f" {len(names)} ({', '.join(names)}) with {between or repr(separator)} between;"
                " correct one of the two" + f"; {CONVERT}" * bool(EXPORT.match(line))
            )
        tokens.append(columns[token_column])
        tags.append(columns[tag_column])
        numbers.append(number)
    end()
    return sentence_of.corpus(path, sentences)
