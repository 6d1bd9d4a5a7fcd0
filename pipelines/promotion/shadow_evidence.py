"""What `serve --shadow` kept of two versions: how often they differ on texts that were served."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from pipelines.serving import disagreements
from stages.model.decode import Span
from stages.report.pieces import Piece, pieces, shown

EXAMPLES = 10
"""Texts in comparison.html, which MLflow keeps: so that it has few of them."""


@dataclass(frozen=True)
class Example:
    """A text in which the two differ.

    Attributes:
        kinds: Of its differences, each once.
        champion: The text with the entities that only the champion finds.
        challenger: The text with the entities that only the challenger finds.
    """

    kinds: list[str]
    champion: list[Piece]
    challenger: list[Piece]


@dataclass(frozen=True)
class Evidence:
    """The texts that both versions answered.

    Attributes:
        champion: The champion's version number.
        texts: Their number.
        differing: The number of those in which at least one entity differs.
        kinds: Kind of difference → number of entities.
        examples: The newest of those texts.
    """

    champion: str
    texts: int
    differing: int
    kinds: dict[str, int]
    examples: list[Example]

    def interval(self, confidence: float) -> tuple[float, float]:
        """Wilson's interval of the share of texts that differ; 0 to 1 if there are no texts."""
        return wilson(self.differing, self.texts, confidence)


def read(folder: Path, champion: str, challenger: str) -> Evidence:
    """Counts the rows of these two versions in the files of a folder."""
    texts = differing = 0
    kinds = Counter(dict.fromkeys(disagreements.KINDS, 0))
    newest: list[dict[str, Any]] = []
    for row in disagreements.read(folder, champion, challenger):
        texts += 1
        if row["differences"]:
            differing += 1
            kinds.update(each["kind"] for each in row["differences"])
            newest = [*newest[1 - EXAMPLES :], row]
    return Evidence(
        champion, texts, differing, dict(kinds), [_example(row) for row in newest[::-1]]
    )


def wilson(hits: int, trials: int, confidence: float) -> tuple[float, float]:
    """The interval of a proportion by Wilson (1927), which holds near 0 and for few trials too."""
    if not trials:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = hits / trials, z * z / trials
    middle = share + weight / 2
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low, high = ((middle - half) / (1 + weight), (middle + half) / (1 + weight))
    return (low if hits else 0.0), (high if hits < trials else 1.0)


def _example(row: dict[str, Any]) -> Example:
    text, differences = row["text"], row["differences"]
    sides = [
        # One entity may differ from two of the other version.
        sorted({Span(e["start"], e["end"], e["type"]) for each in differences if (e := each[who])})
        for who in ("champion", "challenger")
    ]
    seen = shown(len(text), *[sorted({*sides[0], *sides[1]})] * 2)
    return Example(
        sorted({each["kind"] for each in differences}),
        *(pieces(text, spans, {}, seen) for spans in sides),
    )
