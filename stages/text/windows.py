"""Long text goes through overlapping windows; each token is scored in exactly one of them."""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Window:
    """Tokens `start:stop` of a sentence, of which this window scores `own_start:own_stop`."""

    start: int
    stop: int
    own_start: int
    own_stop: int


def windows(tokens: int, size: int, overlap: int) -> list[Window]:
    """Covers `tokens` tokens with windows of at most `size`, neighbours sharing `overlap` or more.

    Of a shared stretch each neighbour owns its half, so that a token is scored where it has most
    context. The last window is moved back to be full.
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
