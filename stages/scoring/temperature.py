"""Turns an entity's confidence into the probability that it is right, by calibration.json."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..contract.errors import StageError

NAME = "calibration.json"
DIGITS = 4  # a fifth would depend on the batches
NEAREST = 1e-6  # to 0 and 1, where the log-odds are infinite


@dataclass(frozen=True)
class TypeCalibration:
    """What `stages.scoring.calibrate` found on dev for an entity type."""

    temperature: float
    """Divides the log-odds of a confidence (Guo et al., ICML 2017); above 1 it was too sure."""
    bias: float
    """Added to them then (Platt, 1999), in nats."""
    fitted_on: int
    """Dev's predicted entities that both were fitted on: those of the type, or all."""
    threshold: float | None
    """The lowest score with the target precision; None if there is no such score."""
    precision: float
    """Of dev's predicted entities that reach the threshold; 0 if there is none."""
    recall: float
    """The share of dev's entities that is still found by them."""
    predicted: int
    """Dev's predicted entities, whatever their score."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a model; of an older one, without types, it changes no score."""

    types: Mapping[str, TypeCalibration]

    @classmethod
    def read(cls, folder: Path, types: Collection[str]) -> "Calibration":
        """Reads `folder`/calibration.json, which a model from before has not.

        Raises:
            StageError: it has other types than `types`.
        """
        path = folder / NAME
        if not path.is_file():
            return cls({})
        found = json.loads(path.read_text(encoding="utf-8"))["types"]
        if set(found) != set(types):
            raise StageError(f"{path} and labels.json have different types: take both from one run")
        return cls({type_: TypeCalibration(**row) for type_, row in found.items()})

    def write(self, path: Path) -> None:
        """Writes a JSON file: type → temperature, bias, threshold and what it costs on dev."""
        values = {"types": {type_: asdict(each) for type_, each in self.types.items()}}
        text = json.dumps(values, indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")

    def score(self, type_: str, confidence: float) -> float:
        """The calibrated `confidence` of an entity, from 0 to 1, in `DIGITS` digits."""
        if self.types:
            of_type = self.types[type_]
            odds = log_odds(confidence) / of_type.temperature + of_type.bias
            confidence = 1 / (1 + math.exp(-odds))
        return round(confidence, DIGITS)

    def passed(self, type_: str, score: float) -> bool | None:
        """Whether `score` reaches the type's threshold; None if this is an older model."""
        if not self.types:
            return None
        threshold = self.types[type_].threshold
        return threshold is not None and score >= threshold


def log_odds(confidence: float) -> float:
    """The logarithm of `confidence` against the rest."""
    inside = min(max(confidence, NEAREST), 1 - NEAREST)
    return math.log(inside / (1 - inside))
