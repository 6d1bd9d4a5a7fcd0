"""Where the points of a plot are, in the units of its SVG; macros.html draws it."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.scoring.groups import Row

WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 40  # margins, for the numbers at the axes
TICKS = 5  # intervals between them, at most


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """The pixel of `value`, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Pixels and labels of round numbers."""
        least = (self.high - self.low) / TICKS
        power = 10 ** math.floor(math.log10(least))
        step = min(m * power for m in (1, 2, 5, 10) if m * power >= least)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [(self.at(i * step), f"{i * step:.6g}") for i in range(first, last + 1)]


@dataclass(frozen=True)
class Plot:
    """A line of dots, or columns that stand on the axis.

    Attributes:
        id: Of the element.
        title: What it shows.
        x_title: Of the axis below.
        x: That axis.
        y: The one on the left.
        dots: Their pixels.
        columns: x, y, width and height.
        ideal: Ends of a line to compare with, x1, y1, x2, y2.
        said: The plot in a sentence, for those who cannot see it.
    """

    id: str
    title: str
    x_title: str
    x: Axis
    y: Axis
    said: str
    dots: Sequence[tuple[float, float]] = ()
    columns: Sequence[tuple[float, float, float, float]] = ()
    ideal: tuple[float, float, float, float] | None = None
    width: int = WIDTH
    height: int = HEIGHT


def learning_curves(path: Path) -> list[Plot]:
    """Loss and dev F1 by step, as `train` wrote them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    plots = []
    for column, title in (("loss", "Loss on train"), ("dev_f1", "F1 on dev")):
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        if points:
            plots.append(_line(column, title, "step", points))
    return plots


def reliability_plot(rows: Sequence[Row]) -> Plot:
    """Precision of what was found, by confidence."""
    x, y = _axis(0, 1, across=True), _axis(0, 1, across=False)
    return Plot(
        id="plot-reliability",
        title="Share that is right, by confidence",
        x_title="confidence",
        x=x,
        y=y,
        said="A column for each range of confidence, as high as the share that is right; on the"
        " dashed line both are equal. The table below has the numbers.",
        columns=[
            (
                round(x.at(row["low"]) + 1, 1),
                y.at(row["precision"]),
                round(x.at(row["high"]) - x.at(row["low"]) - 2, 1),
                round(y.at(0) - y.at(row["precision"]), 1),
            )
            for row in rows
        ],
        ideal=(x.at(0), y.at(0), x.at(1), y.at(1)),
    )


def _line(id_: str, title: str, x_title: str, points: list[tuple[int, float]]) -> Plot:
    steps, values = zip(*points, strict=True)
    x = _axis(0, max(steps), across=True)
    margin = (max(values) - min(values)) * 0.05 or 0.01
    y = _axis(min(values) - margin, max(values) + margin, across=False)
    return Plot(
        id=f"plot-{id_}",
        title=title,
        x_title=x_title,
        x=x,
        y=y,
        said=f"From {values[0]:.4f} at {x_title} {steps[0]} to {values[-1]:.4f} at {steps[-1]};"
        f" least {min(values):.4f}, most {max(values):.4f}.",
        dots=[(x.at(step), y.at(value)) for step, value in points],
    )


def _axis(low: float, high: float, across: bool) -> Axis:
    if across:
        return Axis(low, high, LEFT, WIDTH - RIGHT)
    return Axis(low, high, HEIGHT - BOTTOM, TOP)
