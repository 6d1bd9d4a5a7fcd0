"""Shows the progress of long work: a bar on a terminal, else a line now and then."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

LINE_EVERY_S = 10.0
BAR = "NER_BAR"  # columns of the terminal to which the reader of our output passes bars on


@contextmanager
def progress(total: int, about: str, unit: str, shown: bool = True) -> Iterator["tqdm[NoReturn]"]:
    """A `tqdm` over `total` units: `update(n)` moves it, `set_postfix` adds values.

    Without a terminal it prints a line at most every `LINE_EVERY_S` seconds, at an `update` (of 0
    units too), and one at the end; nothing if the end comes sooner. If not `shown`, it does
    nothing. With NER_BAR it prints the states of a bar, and at the end that line.
    """
    columns = int(os.environ.get(BAR, 0))
    terminal = sys.stderr.isatty() or columns > 0
    bar = tqdm(
        disable=not shown,
        total=total,
        desc=about,
        unit=unit,
        unit_scale=True,
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.1 if terminal else LINE_EVERY_S,
        # Set, or tqdm's monitor would print extra lines.
        miniters=None if terminal else 0,
        dynamic_ncols=terminal and not columns,
        ncols=columns or (None if terminal else 0),
        delay=0 if terminal else LINE_EVERY_S,
    )
    try:
        yield bar
    finally:
        if columns and shown:
            bar.ncols = 0  # its last line goes to a log
            bar.leave = bar.format_dict["elapsed"] > LINE_EVERY_S
        else:
            # Without a terminal, the last line may be printed already.
            bar.leave = not shown or terminal or bar.n > bar.last_print_n
        bar.close()


class _Lines:
    """Turns tqdm's carriage returns into lines."""

    def write(self, text: str) -> None:
        text = text.strip()
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
