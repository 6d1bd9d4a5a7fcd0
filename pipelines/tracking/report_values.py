"""Reads the figures in the files that the stages wrote, by the names that MLflow shows."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.corpus_check import growing
from pipelines.errors import PipelineError

Leaf = str | int | float | bool | None
Point = tuple[str, float, int]  # name, value, step
ALIGN = "reports/align.json"
OF_TYPES = re.compile(r"^(test|passed|calibration|export)\.types\.(?=.+\.)")


def leaves(reports: Mapping[str, Path]) -> dict[str, Leaf]:
    """Every single value of the JSON reports.

    `entities_in` of `reports/align.json` becomes `align.entities_in`. The keys of `metrics.json`
    start with the scored split already, so they get no prefix: `test.PER.f1`.
    """
    return {
        figure(key): value
        for path in reports.values()
        if path.suffix == ".json"
        for key, value in flattened(_read(path), "" if path.stem == "metrics" else path.stem)
        if not isinstance(value, list)
    }


def figure(key: str) -> str:
    """The name of a report's value: `test.PER.f1` of `test.types.PER.f1`.

    A report has types under a key of their own, since one may be called f1. A name needs none for
    that, so it stays what it is in runs from before.
    """
    return OF_TYPES.sub(r"\1.", key)


def curves(reports: Mapping[str, Path], growing: bool = False) -> list[Point]:
    """The columns of each CSV report that has a `step`: `loss` of `train.csv` is `train/loss`.

    Of a `growing` file the last row counts when its line has ended.
    """
    points = []
    for path in (path for path in reports.values() if path.suffix == ".csv"):
        with path.open(encoding="utf-8", newline="") as file:
            lines = (line for line in file if line.endswith("\n") or not growing)
            for row in csv.DictReader(lines):
                step = row.pop("step", None)
                if step:
                    points += [
                        (f"{path.stem}/{column}", float(value), int(step))
                        for column, value in row.items()
                        if value
                    ]
    return points


def params(path: Path) -> dict[str, str]:
    """Every value of params.yaml, as `train.learning_rate`; a list as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in flattened(yaml.safe_load(path.read_text(encoding="utf-8")))
    }


def measured(folder: Path) -> dict[str, Leaf]:
    """What the stages measured in this run, as `measured.train.seconds`."""
    return {
        key: value
        for path in sorted(folder.glob("*.json"))
        for key, value in flattened(_read(path), f"measured.{path.stem}")
        if not isinstance(value, list)
    }


def data_warnings(workspace: Path) -> list[str]:
    """What was left out of a growing source, and what `align` warns of, each with what to do."""
    path = workspace / ALIGN
    found = _read(path).get("warnings", ()) if path.is_file() else ()
    warned = [f"{warning['message']}; {warning['remedy']}" for warning in found]
    return [*growing.left_out(workspace), *warned]


def flattened(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each single value of nested mappings, by its keys joined with dots; an empty one is []."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flattened(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value if value != {} else []


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError(f"{path} is not JSON ({error}): its stage must write it so") from None
