"""Tables of scores and of mistakes: by length, by frequency in train, by kind, by type."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from stages.model.decode import Span
from stages.params.evaluate import Bootstrap
from stages.scoring.bootstrap import f1_intervals
from stages.scoring.in_train import InTrain
from stages.scoring.mistakes import KINDS, Judged
from stages.scoring.spans import Counts, SparseCounts, counts, counts_by, f1, figures

Row = dict[str, Any]


def by_bin(
    judged: Sequence[Judged],
    measure: Callable[[Judged, Span], int],
    bounds: Sequence[int],
    digits: int = 0,
    bootstrap: Bootstrap | None = None,
) -> list[Row]:
    """`name` and `figures` of each bin of `measure` that has an entity, gold or predicted.

    Args:
        judged: The sentences.
        measure: Of an entity in its sentence.
        bounds: The lower bounds of the bins. An entity below the first is in none.
        digits: Pads the numbers of the names with zeros to so many digits, so that the names sort.
        bootstrap: Adds `interval`, of F1.
    """
    bounds = sorted(bounds)
    bins = counts_by(judged, lambda *entity: bisect_right(bounds, measure(*entity)) - 1)
    names = enumerate(_names(bounds, digits))
    return with_figures({name: bins[bin_] for bin_, name in names if bin_ in bins}, bootstrap)


def with_figures(
    groups: Mapping[str, SparseCounts], bootstrap: Bootstrap | None = None
) -> list[Row]:
    """`name` and `figures` of each group of the same sentences, and `interval` by `bootstrap`."""
    rows: list[Row] = [{"name": name, **figures(group.counts)} for name, group in groups.items()]
    if bootstrap and rows:
        for row, ends in zip(rows, f1_intervals([*groups.values()], bootstrap), strict=True):
            row["interval"] = ends
    return rows


def length(_: Judged, span: Span) -> int:
    """For `by_bin`: the entity's length in cells."""
    return span.stop - span.start


def frequency(in_train: InTrain) -> Callable[[Judged, Span], int]:
    """For `by_bin`: how many entities of the same text and type train has, by `in_train`."""
    return lambda sentence, span: in_train.get((sentence.text(span), span.type), 0)


def confusion(judged: Iterable[Judged], none: str) -> Iterator[tuple[str, str]]:
    """Gold and predicted type at the same characters; `none` where one side has no entity."""
    for sentence in judged:
        types = {(span.start, span.stop): span.type for span in sentence.predicted}
        for span in sentence.gold:
            yield span.type, types.pop((span.start, span.stop), none)
        for type_ in types.values():
            yield none, type_


def by_kind(judged: Sequence[Judged], types: Sequence[str]) -> list[Row]:
    """A row for each of `KINDS`: the entities `missed` and `spurious`, and `f1_if_fixed`.

    `types` has both numbers of each type. `f1_if_fixed` is the micro F1 if every mistake of that
    kind were corrected, and no other.
    """
    total = counts(judged).sum(axis=0)
    missed, spurious = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for sentence in judged:
        for mistake in sentence.mistakes:
            side = missed if mistake.in_gold else spurious
            side[mistake.kind, mistake.span.type] += 1
    rows = []
    for kind, meaning in KINDS.items():
        n_missed, n_spurious = (
            sum(n for (of, _), n in side.items() if of == kind) for side in (missed, spurious)
        )
        rows.append(
            {
                "kind": kind,
                "meaning": meaning,
                "missed": n_missed,
                "spurious": n_spurious,
                "types": [(missed[kind, type_], spurious[kind, type_]) for type_ in types],
                "f1_if_fixed": f1_if_fixed(total, n_missed, n_spurious),
            }
        )
    return rows


def f1_if_fixed(total: Counts, missed: int, spurious: int) -> float:
    """The F1 of `total` [3] if so many missed ones were found, and so many spurious not."""
    return float(f1(total + np.array([0, missed - spurious, missed])))


def _names(bounds: Sequence[int], digits: int) -> list[str]:
    names = [
        f"{low:0{digits}}" + (f"-{high - 1:0{digits}}" if high > low + 1 else "")
        for low, high in pairwise(bounds)
    ]
    return [*names, f"{bounds[-1]:0{digits}}+"]
