"""Where and how a training runs, and the curve that tells of it meanwhile."""

import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from stages.training.export_trial import Check
from stages.training.ranks import Ranks

COLUMNS = ("step", "loss", "lr", "tokens_per_s", "dev_f1")


@dataclass(frozen=True)
class Runtime:
    """The device, precision, processes and checkpoint folder of a training."""

    device: torch.device
    bf16: bool
    ranks: Ranks
    checkpoints: Path | None
    """The same folder in all ranks; None: keep no checkpoints."""
    packed: bool = True
    """Several windows a row; False: one, for encoders that would mix them."""
    trial: Check = lambda _: None
    """Tells of a trial of the export that runs beside the training."""
    curves: Path | None = None
    """The folder for curves that grow while the training runs; None: nobody follows."""

    def curve(self, name: str) -> Path | None:
        """The file of that curve."""
        return self.curves / f"{name}.csv" if self.curves else None


def live_folder() -> Path | None:
    """The folder for curves that grow while a training runs: NER_LIVE; None: nobody follows."""
    place = os.environ.get("NER_LIVE")
    return Path(place) if place else None


class LiveCurve:
    """A CSV file with a row for each loss and each evaluation, written as soon as it is known.

    No out of the stage: it has speeds, and begins where a resumed training does.
    """

    def __init__(self, path: Path | None, tokens: Callable[[int, int], float], after: int) -> None:
        """Begins the file, if there is a `path`.

        Args:
            path: of the file; None: none is written.
            tokens: of the steps after one number up to another.
            after: the step that is done already.
        """
        self._path, self._tokens = path, tokens
        self._step, self._since = after, time.monotonic()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")

    def loss(self, step: int, loss: float, lr: float) -> None:
        """Adds the loss of a step, and the tokens a second since the last row."""
        now = time.monotonic()
        tokens = self._tokens(self._step, step)
        self._add(step, loss, lr, round(tokens / max(now - self._since, 1e-9)), "")
        self._step, self._since = step, now

    def dev_f1(self, step: int, f1: float) -> None:
        """Adds the result of an evaluation, whose time does not count as training."""
        self._add(step, "", "", "", f1)
        self._since = time.monotonic()

    def _add(self, *row: float | str) -> None:
        if self._path:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(row)
