"""A sentence of tokens with a tag each, as CoNLL files and `datasets` have it."""

from collections import Counter
from collections.abc import Callable, Sequence

from stages.contract.errors import StageError
from stages.corpus.schemes import break_said, tag_problem, to_iob2
from stages.params.align import Align
from stages.text.cells import cells_of
from stages.text.sentence import Sentence


class TaggedReader:
    """Makes sentences of tagged tokens, and counts in `repaired` what had to be repaired."""

    def __init__(self, params: Align, repair_tags: bool) -> None:
        """Tags that break the scheme are repaired with `repair_tags` only."""
        self.repaired: Counter[str] = Counter()
        self._params = params
        self._repair_tags = repair_tags
        self._known = {"O"}

    def __call__(
        self,
        tokens: Sequence[str],
        tags: Sequence[str],
        where: Callable[[int], str],
        meta: str | None = None,
    ) -> Sentence:
        """One sentence, its tags in IOB2.

        By `align.cells` a token is a character; or a word, with a space before each but the first.
        One that is several words to `cells_of` ("U.S.") stays one entity or part of it.

        Args:
            tokens: at least one.
            tags: as many, in `align.scheme`.
            where: of a token's index, what an error names: file and line.
            meta: as `Sentence` has it.

        Raises:
            StageError: a token that is no cell; a tag that is not one of scheme and types, or
                breaks the scheme and is not repaired.
        """
        for tag in sorted(set(tags) - self._known, key=tags.index):
            if problem := tag_problem(tag, self._params.scheme, self._params.types):
                raise StageError(f"{where(tags.index(tag))}: {problem}")
            self._known.add(tag)
        iob2, breaks = to_iob2(tags, self._params.scheme)
        for index, kind in breaks:
            if not self._repair_tags:
                said = break_said(tags[index], kind, self._params.scheme)
                raise StageError(f"{where(index)}: {said}")
            self.repaired[kind] += 1
        if self._params.cells == "words":
            return _of_words(tokens, iob2, where, meta)
        for index, length in enumerate(map(len, tokens)):
            if length != 1:
                raise StageError(
                    f"{where(index)}: {length} characters in the token {tokens[index][:40]!r};"
                    " write one character a token, or set align.cells: words"
                )
        return Sentence("".join(tokens), tuple(iob2), meta)


def _of_words(
    tokens: Sequence[str], tags: Sequence[str], where: Callable[[int], str], meta: str | None
) -> Sentence:
    cells: list[str] = []
    of_cell: list[str] = []
    for index, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        words = cells_of(f" {token}" if index else token, "words")
        if not words:
            raise StageError(f"{where(index)}: the token {token!r} is blank; take it away")
        cells += words
        of_cell += [tag, *["I" + tag[1:] if tag != "O" else "O"] * (len(words) - 1)]
    return Sentence(tuple(cells), tuple(of_cell), meta)
