"""Makes the windows of a text, for `align` and for the served tagger."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .labels import Labels
from .tokens import CellEncoder


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    """A window as the model takes it."""

    input_ids: list[int]
    """Token ids with [CLS] and [SEP]."""
    cells: range
    """Indices of the cells that it scores; none where one cell has more tokens than the window."""
    positions: list[int]
    """Index in `input_ids` of the first token of each of these cells."""


@dataclass(frozen=True)
class Window:
    """Tokens `start:stop` of a text, of which this window scores `own_start:own_stop`."""

    start: int
    stop: int
    own_start: int
    own_stop: int


def encode_windows(
    cells: Sequence[str], labels: Labels, encode: CellEncoder
) -> Iterator[EncodedWindow]:
    """Yields the windows of `cells`, in order; each cell is scored in exactly one of them.

    Args:
        cells: of one text, at least one; see `stages.text.cells`.
        labels: window length, overlap, and the ids of [CLS] and [SEP].
        encode: of the model's tokenizer.
    """
    ids, first = encode(cells)
    for window in windows(len(ids), labels.window_tokens - 2, labels.window_overlap_tokens):
        owned = range(bisect_left(first, window.own_start), bisect_left(first, window.own_stop))
        yield EncodedWindow(
            input_ids=[labels.cls_id, *ids[window.start : window.stop], labels.sep_id],
            cells=owned,
            positions=[1 + first[cell] - window.start for cell in owned],  # 1 for [CLS]
        )


def windows(tokens: int, size: int, overlap: int) -> list[Window]:
    """Covers `tokens` tokens with windows of at most `size`; neighbours share `overlap` or more.

    Each neighbour owns half of what they share, so a token is scored where it has most context.
    The last window is moved back until it is full.
    """
    starts = list(range(0, max(tokens - size, 0), size - overlap))
    starts.append(max(tokens - size, 0))
    edges = [
        0,
        *((after + before + size) // 2 for before, after in pairwise(starts)),
        tokens,
    ]
    return [
        Window(start, min(start + size, tokens), own_start, own_stop)
        for start, (own_start, own_stop) in zip(starts, pairwise(edges), strict=True)
    ]
