"""Scores of some of the entities: of one type, one length, seen so often in train, and so on."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from stages.model.decode import Span
from stages.scoring.mistakes import KINDS, Judged

Row = dict[str, Any]


def scored(name: str, gold: int, found: int, right: int) -> Row:
    """The row of a table: name, precision, recall, F1 (0 where there is nothing), support."""
    return {
        "name": name,
        "f1": 2 * right / max(gold + found, 1),
        "precision": right / max(found, 1),
        "recall": right / max(gold, 1),
        "support": gold,
    }


def by_bin(
    judged: Iterable[Judged],
    measure: Callable[[Judged, Span], int],
    bounds: Sequence[int],
    digits: int = 0,
) -> list[Row]:
    """A row for each bin of `measure` in which there is any entity, gold or found.

    Args:
        judged: The sentences.
        measure: Of an entity in its sentence.
        bounds: The lower bounds of the bins; what is below the first is left out.
        digits: Of the numbers in the names, filled up with zeros: their alphabetical order is then
            the right one.
    """
    bounds = sorted(bounds)
    counts = [[0, 0, 0] for _ in bounds]
    for sentence in judged:
        for column, spans in enumerate((sentence.gold, sentence.found, sentence.right)):
            for span in spans:
                bin_ = bisect_right(bounds, measure(sentence, span)) - 1
                if bin_ >= 0:
                    counts[bin_][column] += 1
    named = zip(_names(bounds, digits), counts, strict=True)
    return [scored(name, *count) for name, count in named if any(count)]


def confusion(judged: Iterable[Judged], none: str) -> list[tuple[str, str]]:
    """Gold and found type of each entity at its very characters; `none` where there is none."""
    pairs = []
    for sentence in judged:
        types = {(span.start, span.stop): span.type for span in sentence.found}
        for span in sentence.gold:
            pairs.append((span.type, types.pop((span.start, span.stop), none)))
        pairs += [(none, type_) for type_ in types.values()]
    return pairs


def by_kind(judged: Collection[Judged], types: Sequence[str]) -> list[Row]:
    """A row for each of `KINDS`: entities `lost` and `false`, both by type, and the F1 `mended`.

    `mended` is the micro F1 if all mistakes of that kind were right, and the others as they are.
    """
    gold, found, right = totals(judged)
    lost, false = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for sentence in judged:
        for mistake in sentence.mistakes:
            (lost if mistake.in_gold else false)[mistake.kind, mistake.span.type] += 1
    rows = []
    for kind, meaning in KINDS.items():
        n_lost, n_false = (sum(n for (k, _), n in c.items() if k == kind) for c in (lost, false))
        rows.append(
            {
                "kind": kind,
                "meaning": meaning,
                "lost": n_lost,
                "false": n_false,
                "types": [(lost[kind, type_], false[kind, type_]) for type_ in types],
                "mended": 2 * (right + n_lost) / max(gold + found - n_false + n_lost, 1),
            }
        )
    return rows


def totals(judged: Iterable[Judged]) -> tuple[int, int, int]:
    """Entities in the gold, found, and right."""
    sizes = [(len(s.gold), len(s.found), len(s.right)) for s in judged]
    gold, found, right = (sum(column) for column in zip(*sizes, strict=True))
    return gold, found, right


def length(_: Judged, span: Span) -> int:
    """For `by_bin`: in characters."""
    return span.stop - span.start


def frequency(counts: Mapping[tuple[str, str], int]) -> Callable[[Judged, Span], int]:
    """For `by_bin`: how often an entity of that text and type is in train, by its `counts`."""
    return lambda sentence, span: counts.get((sentence.text(span), span.type), 0)


def _names(bounds: Sequence[int], digits: int) -> list[str]:
    names = [
        f"{low:0{digits}}" + (f"-{high - 1:0{digits}}" if high > low + 1 else "")
        for low, high in pairwise(bounds)
    ]
    return [*names, f"{bounds[-1]:0{digits}}+"]
