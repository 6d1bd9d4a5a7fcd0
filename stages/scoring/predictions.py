"""What a model found in each test sentence, and which test sentences they were."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.model.decode import Span, spans
from stages.text.cells import offsets


@dataclass(frozen=True)
class Scored:
    """A test sentence as a model scored it; entities count its characters."""

    gold: frozenset[Span]
    predicted: frozenset[Span]
    text: str | None = None
    """Known where the two differ; else it may be None."""


def write_predictions(
    path: Path,
    cells: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
) -> None:
    """Writes a line of JSON for each test sentence, with its text where the model is wrong.

    Two models' files of the same sentences are what a paired bootstrap resamples, and show what
    one finds and the other does not. A sentence that both have right needs no text for that: so
    whoever holds such a file does not hold the corpus.

    Args:
        path: the file.
        cells: the characters of each sentence.
        gold: the tags of each sentence, IOB2.
        predicted: as `gold`.
    """
    with path.open("w", encoding="utf-8") as file:
        for of_sentence in zip(cells, gold, predicted, strict=True):
            here, found = (entities(of_sentence[0], tags) for tags in of_sentence[1:])
            row: dict[str, object] = {
                "gold": [[s.start, s.stop, s.type] for s in here],
                "predicted": [[s.start, s.stop, s.type] for s in found],
            }
            if here != found:
                row["text"] = "".join(of_sentence[0])
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_predictions(lines: Iterable[str]) -> list[Scored]:
    """What `write_predictions` wrote.

    Raises:
        ValueError, LookupError, TypeError: a line that it did not write.
    """
    return [
        Scored(_spans(row["gold"]), _spans(row["predicted"]), row.get("text"))
        for row in map(json.loads, lines)
    ]


def entities(cells: Sequence[str], tags: Sequence[str]) -> list[Span]:
    """Those of a sentence, by the characters of its text."""
    starts, stops = offsets(cells)
    return [Span(starts[s.start], stops[s.stop - 1], s.type) for s in spans(tags)]


def sha256(cells: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> str:
    """Names a test split by its characters and gold tags, whatever tokenizer or windows it met."""
    digest = hashlib.sha256()
    for characters, gold in zip(cells, tags, strict=True):
        rows = (f"{cell}\t{tag}\n" for cell, tag in zip(characters, gold, strict=True))
        digest.update(("".join(rows) + "\n").encode())
    return digest.hexdigest()


def _spans(rows: Iterable[tuple[int, int, str]]) -> frozenset[Span]:
    return frozenset(Span(*row) for row in rows)
