"""predictions.jsonl: the gold and predicted entities of each test sentence."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.model.decode import Span, spans
from stages.text.cells import offsets


@dataclass(frozen=True)
class Scored:
    """The entities of a test sentence, by the characters of its text."""

    gold: frozenset[Span]
    predicted: frozenset[Span]
    text: str | None = None
    """Set where `gold` and `predicted` differ; else it may be None."""


def write_predictions(
    path: Path,
    cells: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
) -> None:
    """Writes one line of JSON per test sentence, with its text only where the model is wrong.

    The files of two models on the same sentences are enough for a paired bootstrap, and show where
    the models differ. A sentence that both have right needs no text for that, so the file does not
    contain the corpus.

    Args:
        path: The file.
        cells: The cells of each sentence.
        gold: The tags of each sentence, IOB2.
        predicted: The predicted tags of each sentence, IOB2.
    """
    with path.open("w", encoding="utf-8") as file:
        for of_sentence, *tags in zip(cells, gold, predicted, strict=True):
            wanted, found = (entities(of_sentence, row) for row in tags)
            line: dict[str, object] = {
                "gold": [[s.start, s.stop, s.type] for s in wanted],
                "predicted": [[s.start, s.stop, s.type] for s in found],
            }
            if wanted != found:
                line["text"] = "".join(of_sentence)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_predictions(lines: Iterable[str]) -> list[Scored]:
    """Reads what `write_predictions` wrote.

    Raises:
        ValueError, LookupError, TypeError: a line has another form.
    """
    return [
        Scored(_spans(row["gold"]), _spans(row["predicted"]), row.get("text"))
        for row in map(json.loads, lines)
    ]


def entities(cells: Sequence[str], tags: Sequence[str]) -> list[Span]:
    """The entities of a sentence, by the characters of its text."""
    starts, stops = offsets(cells)
    return [Span(starts[s.start], stops[s.stop - 1], s.type) for s in spans(tags)]


def sha256(cells: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> str:
    """Identifies a test split by its cells and gold tags, whatever its tokens and windows."""
    digest = hashlib.sha256()
    for characters, gold in zip(cells, tags, strict=True):
        rows = (f"{cell}\t{tag}\n" for cell, tag in zip(characters, gold, strict=True))
        digest.update(("".join(rows) + "\n").encode())
    return digest.hexdigest()


def _spans(rows: Iterable[tuple[int, int, str]]) -> frozenset[Span]:
    return frozenset(Span(*row) for row in rows)
