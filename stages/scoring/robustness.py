"""Scores of the same sentences in other forms: widths, no punctuation, long documents."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from stages.contract.progress import progress
from stages.model.decode import Decoder
from stages.model.emissions import Forward
from stages.params.evaluate import Evaluate
from stages.scoring.spans import Figures, counts, figures, pairs, predict
from stages.text.labels import Labels
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.window_rows import rows_of
from stages.text.windows_table import Aligned

FULL_AND_HALF_WIDTH = [0x3000, *range(0xFF01, 0xFFEF)]  # Unicode's block, and the wide space


def robustness(
    params: Evaluate,
    parts: Iterable[Aligned],
    labels: Labels,
    model: Path,
    forward: Forward,
    decoder: Decoder,
) -> dict[str, Figures]:
    """Micro figures of the first `params.robustness.sentences` of a split in each of the `forms`.

    Each form is aligned again with the tokenizer.json of the folder `model`, as `align` does it, so
    that normalisation and windows are part of what is measured.
    """
    encode = CellEncoder(
        Tokenizer.from_file(str(model / "tokenizer.json")), labels.unknown_id, labels.cells
    )
    # Without a name, or it would keep its part of the split in memory: 20 MB.
    first = list(
        islice(
            (s for part in parts for s in sentences_of(part, labels.tags)),
            params.robustness.sentences,
        )
    )
    between = "" if labels.cells == "characters" else " "
    aligned = {
        name: as_aligned(sentences, labels, encode)
        for name, sentences in forms(first, params.robustness.document_characters, between).items()
    }
    result: dict[str, Figures] = {}
    windows = sum(len(each.input_ids) for each in aligned.values())
    with progress(windows, "robustness", " windows") as bar:
        for name, each in aligned.items():
            _, paths = predict(each, forward, decoder, params.tokens_per_batch, bar.update)
            all_types = counts(pairs(each, paths, labels.tags))
            result[name] = figures(all_types) | {"sentences": len(first)}
    return result


def forms(
    sentences: Sequence[Sentence], document_characters: int, between: str = ""
) -> dict[str, list[Sentence]]:
    """The sentences in each form, with their gold tags; no form loses an entity.

    `as_it_is`: unchanged, to compare with. `full_width`, `half_width`: with each character that
    Unicode has in that width. `no_punctuation`: without the cells that are punctuation and in no
    entity, unless no cell would be left. `documents`: neighbouring sentences joined by `between`,
    up to `document_characters` long; a longer sentence stays alone.
    """
    full, half = _widths()
    return {
        "as_it_is": list(sentences),
        "full_width": [_translated(sentence, full) for sentence in sentences],
        "half_width": [_translated(sentence, half) for sentence in sentences],
        "no_punctuation": [_without_punctuation(sentence) for sentence in sentences],
        "documents": list(_documents(sentences, document_characters, between)),
    }


def sentences_of(split: Aligned, tags: Sequence[str]) -> Iterator[Sentence]:
    """The sentences of `split`, as `align` read them."""
    for cells, row in zip(split.sentence_cells(), split.sentence_labels(), strict=True):
        yield Sentence(tuple(cells), tuple(tags[label] for label in row))


def as_aligned(sentences: Sequence[Sentence], labels: Labels, encode: CellEncoder) -> Aligned:
    """What `read_aligned` reads after `align` wrote these sentences."""
    return Aligned.of(rows_of(sentences, labels, encode))


def _widths() -> tuple[dict[int, str], dict[int, str]]:
    """Tables for `str.translate`: to full width, and to half width."""
    full, half = {}, {}
    for code in FULL_AND_HALF_WIDTH:
        kind, *usual = unicodedata.decomposition(chr(code)).split() or ["none"]
        for other in (int(number, 16) for number in usual):
            wide, narrow = (code, other) if kind == "<wide>" else (other, code)
            full[narrow], half[wide] = chr(wide), chr(narrow)
    return full, half


def _translated(sentence: Sentence, table: dict[int, str]) -> Sentence:
    return Sentence(tuple(cell.translate(table) for cell in sentence.cells), sentence.tags)


def _without_punctuation(sentence: Sentence) -> Sentence:
    kept = [
        (cell, tag)
        for cell, tag in zip(sentence.cells, sentence.tags, strict=True)
        if tag != "O" or not all(unicodedata.category(c)[0] == "P" for c in cell.strip() or cell)
    ]
    return Sentence(tuple(c for c, _ in kept), tuple(t for _, t in kept)) if kept else sentence


def _documents(sentences: Sequence[Sentence], characters: int, between: str) -> Iterator[Sentence]:
    cells, tags, size = list[str](), list[str](), 0
    for sentence in sentences:
        first, *others = tuple(sentence.cells)
        length = sum(map(len, sentence.cells))
        if cells and size + length > characters:
            yield Sentence(tuple(cells), tuple(tags))
            cells, tags, size = [], [], 0
        cells += [between + first if cells else first, *others]
        tags += sentence.tags
        size += length
    yield Sentence(tuple(cells), tuple(tags))
