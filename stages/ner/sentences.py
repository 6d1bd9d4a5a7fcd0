"""What was right in each test sentence, and which test sentences they were."""

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stages.ner.decode import spans

HEADER = ["sentence", "type", "gold", "predicted", "right"]


def write_counts(
    path: Path, gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> None:
    """Writes a CSV row for each sentence and type of which there is any entity.

    Two models' files of the same sentences are what a paired bootstrap resamples.

    Args:
        path: the file.
        gold: the tags of each sentence, IOB2.
        predicted: as `gold`.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for number, tags in enumerate(zip(gold, predicted, strict=True)):
            here, found = (set(spans(each)) for each in tags)
            counts = [Counter(s.type for s in group) for group in (here, found, here & found)]
            for type_ in sorted(counts[0] | counts[1]):
                writer.writerow([number, type_, *(count[type_] for count in counts)])


def sha256(cells: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> str:
    """Names a test split by its characters and gold tags, whatever tokenizer or windows it met."""
    digest = hashlib.sha256()
    for characters, gold in zip(cells, tags, strict=True):
        rows = (f"{cell}\t{tag}\n" for cell, tag in zip(characters, gold, strict=True))
        digest.update(("".join(rows) + "\n").encode())
    return digest.hexdigest()
