"""Makes sentences of tokens with one tag each, as CoNLL files and `datasets` have them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Repairs
from stages.corpus.schemes import break_message, tag_problem, to_iob2
from stages.params.align import Align
from stages.text.cells import cells_of
from stages.text.labels import Cells
from stages.text.sentence import Sentence

# Of scripts that put no space between words: Chinese, Japanese, Thai, Lao, Myanmar, Khmer.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


class TaggedReader:
    """Makes sentences of tagged tokens, and counts what it repairs in `repairs`."""

    def __init__(self, params: Align, repair_tags: bool, repairs: Repairs) -> None:
        """Without `repair_tags`, tags that break the scheme are an error."""
        self.repairs = repairs
        self._params = params
        self._repair_tags = repair_tags
        self._known = {"O"}
        self._tokens = self._words = 0

    def __call__(
        self,
        tokens: Sequence[str],
        tags: Sequence[str],
        where: Callable[[int], str],
        meta: str | None = None,
    ) -> Sentence | None:
        """One sentence with its tags in IOB2; None if it has no token.

        By `align.cells` a token is a character; or a word, with a space before each but the first.
        A token of several cells ("2008" where they are characters, "U.S." where they are words)
        is split, and stays in one entity; of several characters it is counted (`split_token`).

        Where tags are repaired, a token without a tag becomes O and is counted (`empty_tag`).
        An empty token with the tag O is dropped and counted (`empty_token`). With characters only
        "" is empty: a blank, U+3000 or a zero-width character is a character of the text. With
        words a token of white space alone is empty as well.

        Args:
            tokens: of the corpus, in order.
            tags: one per token, in `align.scheme`.
            where: gives the place of the token with this index, for errors: file and line.
            meta: of the sentence: see `Sentence`.

        Raises:
            StageError: an empty token with another tag than O; an empty token or tag inside an
                entity; a tag that scheme or types do not allow; a tag that is missing or breaks
                the scheme, unless repaired.
        """
        tags = self._checked(tags, where)
        kept = self._not_empty(tokens)
        iob2 = self._iob2(tags, kept, where)
        if not kept:
            return None
        if self._params.cells == "characters":
            for index in kept:
                if len(tokens[index]) > 1:
                    self.repairs.add("split_token", where(index))
                    self._words += not UNSPACED.search(tokens[index])
            self._tokens += len(kept)
        return _sentence([tokens[index] for index in kept], iob2, self._params.cells, meta)

    def skip(self, characters: int) -> None:
        """Counts tokens of one character each, with allowed tags, that another has read."""
        self._tokens += characters

    def check_cells(self, path: Path) -> None:
        """Checks what the tokens of the file `path` were, after the last.

        Raises:
            StageError: cells are characters, but most tokens are words of a language that writes
                spaces between them. In characters without these the model would learn another text
                than it is sent.
        """
        if self._words > self._tokens / 2:
            raise StageError(
                f"{path}: {self._words} of {self._tokens} tokens are words of several characters"
                f" (the first at {self.repairs.first['split_token'][0]}); set align.cells: words"
            )

    def _checked(self, tags: Sequence[str], where: Callable[[int], str]) -> Sequence[str]:
        """The tags, all allowed by scheme and types, with O where one is missing."""
        if "" in tags:
            tags = self._without_empty(tags, where)
        for tag in sorted(set(tags) - self._known, key=tags.index):
            if problem := tag_problem(tag, self._params.scheme, self._params.types):
                raise StageError(f"{where(tags.index(tag))}: {problem}")
            self._known.add(tag)
        return tags

    def _without_empty(self, tags: Sequence[str], where: Callable[[int], str]) -> Sequence[str]:
        """O in place of "", as the script of MSRA on the Hugging Face hub reads it."""
        kept = [index for index, tag in enumerate(tags) if tag]
        iob2, _ = to_iob2([tags[index] for index in kept], self._params.scheme)
        for index, entity in _gaps(kept, iob2, len(tags)):
            if entity:
                raise StageError(
                    f"{where(index)}: a token without a tag inside an entity of type {entity};"
                    " write its tag"
                )
            if not self._repair_tags:
                raise StageError(
                    f"{where(index)}: a token without a tag; write its tag, or set"
                    " align.repair_test_tags: true to read it as O"
                )
            self.repairs.add("empty_tag", where(index))
        return [tag or "O" for tag in tags]

    def _not_empty(self, tokens: Sequence[str]) -> Sequence[int]:
        if self._params.cells == "words":
            return [index for index, token in enumerate(tokens) if token.strip()]
        if "" not in tokens:  # nearly always
            return range(len(tokens))
        return [index for index, token in enumerate(tokens) if token]

    def _iob2(
        self, tags: Sequence[str], kept: Sequence[int], where: Callable[[int], str]
    ) -> Sequence[str]:
        """The tags of the tokens that are kept; repairs are counted."""
        iob2, breaks = to_iob2([tags[index] for index in kept], self._params.scheme)
        if len(kept) < len(tags):
            self._drop_empty(kept, tags, iob2, where)
        for index, kind in breaks:
            at = kept[index]
            if not self._repair_tags:
                message = break_message(tags[at], kind, self._params.scheme)
                raise StageError(f"{where(at)}: {message}")
            self.repairs.add(kind, where(at))
        return iob2

    def _drop_empty(
        self,
        kept: Sequence[int],
        tags: Sequence[str],
        iob2: Sequence[str],
        where: Callable[[int], str],
    ) -> None:
        """Counts the tokens that are not `kept`; refuses one that belongs to an entity."""
        for index, entity in _gaps(kept, iob2, len(tags)):
            if tags[index] != "O":
                raise StageError(
                    f"{where(index)}: an empty token with the tag {tags[index]};"
                    " delete the token, or correct its tag"
                )
            if entity:
                raise StageError(
                    f"{where(index)}: an empty token with the tag O inside an entity of type"
                    f" {entity}; delete the token, or correct the tags around it"
                )
            self.repairs.add("empty_token", where(index))


def _gaps(kept: Sequence[int], iob2: Sequence[str], count: int) -> list[tuple[int, str]]:
    """Each index below `count` that is not in `kept`, and the type of the entity around it or "".

    Args:
        kept: indices, ascending.
        iob2: tags of these alone: if the next one is an I-, an entity spans the gap.
        count: number of all tokens.
    """
    tag_of = dict(zip(kept, iob2, strict=True))
    gaps = []
    following = "O"
    for index in reversed(range(count)):
        if index in tag_of:
            following = tag_of[index]
        else:
            gaps.append((index, following[2:] if following.startswith("I-") else ""))
    return gaps[::-1]


def _sentence(
    tokens: Sequence[str], tags: Sequence[str], kind: Cells, meta: str | None
) -> Sentence:
    cells: list[str] = []
    of_cell: list[str] = []
    for index, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        inside = cells_of(f" {token}" if index and kind == "words" else token, kind)
        cells += inside
        of_cell += [tag, *["I" + tag[1:] if tag != "O" else "O"] * (len(inside) - 1)]
    return Sentence("".join(cells) if kind == "characters" else tuple(cells), tuple(of_cell), meta)
