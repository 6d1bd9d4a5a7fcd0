"""Progress of long work: a bar on a terminal, a line every so often elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

LINE_EVERY_S = 10.0


@contextmanager
def progress(total: int, about: str, unit: str) -> Iterator["tqdm[NoReturn]"]:
    """A `tqdm` over `total` units: `update(n)` moves it, `set_postfix` adds figures."""
    terminal = sys.stderr.isatty()
    bar = tqdm(
        total=total,
        desc=about,
        unit=unit,
        unit_scale=True,
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.1 if terminal else LINE_EVERY_S,
        maxinterval=0.1 if terminal else LINE_EVERY_S,
        dynamic_ncols=terminal,
        ncols=None if terminal else 0,
        delay=0 if terminal else LINE_EVERY_S,
    )
    try:
        yield bar
    finally:
        bar.close()


class _Lines:
    """Turns tqdm's carriage returns into lines."""

    def write(self, text: str) -> None:
        text = text.strip()
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
