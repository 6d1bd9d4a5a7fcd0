"""Computes the coordinates of plots in SVG units; macros.html draws them."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.scoring.groups import Row

WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 40  # margins, with room for the ticks
ROW = 26  # of a plot with names
TICKS = 5  # intervals between ticks, at most


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` to pixels from `start` to `stop`."""

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
        step = _step(self.high - self.low)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [(self.at(i * step), f"{i * step:.6g}") for i in range(first, last + 1)]


@dataclass(frozen=True)
class Plot:
    """A line through dots, or columns.

    Attributes:
        id: Of the element.
        title: The caption.
        x_title: Of the x axis.
        x: The x axis.
        y: The y axis.
        description: The plot in a sentence, for screen readers.
        dots: Pixels x, y.
        columns: Pixels x, y, width, height.
        ideal: A line to compare with, pixels x1, y1, x2, y2.
        names: Pixels y and labels in place of the y axis' numbers.
        intervals: Around the dots, which no line joins then: pixels x1, y, x2.
    """

    id: str
    title: str
    x_title: str
    x: Axis
    y: Axis
    description: str
    dots: Sequence[tuple[float, float]] = ()
    columns: Sequence[tuple[float, float, float, float]] = ()
    ideal: tuple[float, float, float, float] | None = None
    names: Sequence[tuple[float, str]] = ()
    intervals: Sequence[tuple[float, float, float]] = ()
    width: int = WIDTH
    height: int = HEIGHT


def learning_curves(path: Path) -> list[Plot]:
    """Loss and dev F1 by step, from train.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    plots = []
    for column, title in (("loss", "Loss on train"), ("dev_f1", "F1 on dev")):
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        if points:
            plots.append(_line(column, title, "step", points))
    return plots


def reliability_plot(rows: Sequence[Row]) -> Plot:
    """Precision of predicted entities, by confidence."""
    x, y = _axis(0, 1, across=True), _axis(0, 1, across=False)
    return Plot(
        id="plot-reliability",
        title="Precision by confidence",
        x_title="confidence",
        x=x,
        y=y,
        description="A column for each range of confidence; its height is the precision. On the"
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


def score_axis(rows: Sequence[Row], key: str, line: float) -> Axis:
    """From 0 to 100 % of a table's width, as narrow as the scores in it allow; its ends are round.

    Args:
        rows: Their `key` is the score, `interval` its ends if that is known, and `support`.
        key: Of a score from 0 to 1, or of a difference of two.
        line: A score to compare with, which the axis contains too.
    """
    values = [line]
    for row in rows:
        if row["support"] and row[key] is not None:
            values += [row[key], *(row.get("interval") or ())]
    low, high = min(values), max(values)
    room = max(0.02 - (high - low), 0) / 2  # so that scores which are equal stand in the middle
    step = _step(high - low + 2 * room)
    # A rest of a float must not move an end by a step.
    low, high = math.floor((low - room) / step + 1e-6), math.ceil((high + room) / step - 1e-6)
    return Axis(low * step, high * step, 0, 100)


def _step(width: float) -> float:
    """A round number of which `width` has at most `TICKS`."""
    least = width / TICKS
    power = 10.0 ** math.floor(math.log10(least))
    return min(m * power for m in (1, 2, 5, 10) if m * power >= least)


def f1_by_type(rows: Mapping[str, Row]) -> Plot:
    """F1 on test of each type with its interval, from the scores of types in metrics.json."""
    left, height = 16 + 8 * max(map(len, rows)), TOP + BOTTOM + ROW * len(rows)
    lowest = min(row["f1_low"] for row in rows.values())
    x = Axis(max(0, lowest - 0.05), 1, left, left + WIDTH - RIGHT)
    y = Axis(len(rows), 0, height - BOTTOM, TOP)
    at = {name: y.at(index + 0.5) for index, name in enumerate(rows)}
    return Plot(
        id="plot-f1_by_type",
        title="F1 on test by type, with intervals",
        x_title="F1",
        x=x,
        y=y,
        description="A dot for the F1 of each type; the line through it is the interval.",
        dots=[(x.at(row["f1"]), at[name]) for name, row in rows.items()],
        names=[(pixel, name) for name, pixel in at.items()],
        intervals=[(x.at(r["f1_low"]), at[name], x.at(r["f1_high"])) for name, r in rows.items()],
        width=left + WIDTH,
        height=height,
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
        description=f"From {values[0]:.4f} at {x_title} {steps[0]} to {values[-1]:.4f} at"
        f" {steps[-1]}; minimum {min(values):.4f}, maximum {max(values):.4f}.",
        dots=[(x.at(step), y.at(value)) for step, value in points],
    )


def _axis(low: float, high: float, across: bool) -> Axis:
    if across:
        return Axis(low, high, LEFT, WIDTH - RIGHT)
    return Axis(low, high, HEIGHT - BOTTOM, TOP)
