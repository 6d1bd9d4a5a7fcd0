"""Progress of long work: a bar on a terminal, a line every so often elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

LINE_EVERY_S = 10.0


@contextmanager
def progress(total: int, about: str, unit: str, shown: bool = True) -> Iterator["tqdm[NoReturn]"]:
    """A `tqdm` over `total` units: `update(n)` moves it, `set_postfix` adds figures.

    Not `shown`, it does nothing.

    Elsewhere than on a terminal it prints a line each `LINE_EVERY_S` seconds at most, at an
    `update` (of 0 units too), and one at the end; nothing at all if the end comes sooner.
    """
    terminal = sys.stderr.isatty()
    bar = tqdm(
        disable=not shown,
        total=total,
        desc=about,
        unit=unit,
        unit_scale=True,
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.1 if terminal else LINE_EVERY_S,
        # Given, so that tqdm's monitor leaves it alone: it would print lines of its own.
        miniters=None if terminal else 0,
        dynamic_ncols=terminal,
        ncols=None if terminal else 0,
        delay=0 if terminal else LINE_EVERY_S,
    )
    try:
        yield bar
    finally:
        bar.leave = (
            not shown or terminal or bar.n > bar.last_print_n
        )  # else its last line stands there already
        bar.close()


class _Lines:
    """Turns tqdm's carriage returns into lines."""

    def write(self, text: str) -> None:
        text = text.strip()
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
