"""The section `evaluate` of params.yaml, without defaults: params.yaml has every number."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from stages.contract.section import Device, Fraction, Positive, Section, Seed

SliceName = Annotated[str, Field(pattern=r"^[\w-]+$")]  # part of an MLflow metric's name
Value = str | int | float | bool


class Bootstrap(Section):
    """The bootstrap interval of a score: the test sentences are resampled."""

    samples: Annotated[int, Field(ge=100)] = Field(description="Number of resamples")
    confidence: Fraction = Field(description="Of the interval, two-sided")
    seed: Seed


class Slice(Section):
    """The sentences, or the entities of one type, that meet all given conditions.

    These keys, unlike all others, may be left out: then there is no such condition.
    """

    pattern: str | None = Field(
        None, description="Regular expression, matched anywhere in the text"
    )
    min_characters: Positive | None = Field(None, description="Minimum length of the sentence")
    max_characters: Positive | None = Field(None, description="Maximum length of the sentence")
    type: str | None = Field(None, description="Entity type; others are not counted")
    meta: dict[str, Value] | None = Field(None, description="Metadata column → its value")

    @model_validator(mode="after")
    def _can_pick_something(self) -> Self:
        if not any(value for _, value in self):
            raise ValueError(f"has no condition: give one of {', '.join(type(self).model_fields)}")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(
                f"pattern {self.pattern!r} is not a regular expression: {error}"
            ) from None
        if (self.min_characters or 0) > (self.max_characters or float("inf")):
            raise ValueError(
                f"min_characters is {self.min_characters}, above max_characters ="
                f" {self.max_characters}: no sentence has both"
            )
        return self


class Robustness(Section):
    """How much of test is scored again in other forms; each form is a pass through the model."""

    sentences: Positive = Field(description="The first of test, or all if it has fewer")
    document_characters: Positive = Field(
        description="Length of the texts made of neighbouring sentences"
    )


class Calibration(Section):
    """How scores become probabilities, fitted on dev, and which of them pass."""

    target_precision: Fraction = Field(
        description="Of the entities that pass: of each type, by its threshold"
    )
    threshold_entities: Positive = Field(
        description="Predicted on dev for a threshold of the type alone; with fewer, of all types"
    )
    own_entities: Positive = Field(
        description="Predicted on dev for a temperature and a bias of the type alone"
    )
    folds: Annotated[int, Field(ge=2)] = Field(
        description="Parts of dev, to see whether those of the type alone are better"
    )


class Evaluate(Section):
    """How `evaluate` scores, and what the report shows."""

    device: Device
    cpu_threads: Positive
    tokens_per_batch: Positive
    errors: Positive = Field(
        description="The most confident ones, in errors.jsonl; as many sentences in the report"
    )
    length_bins: list[Positive] = Field(
        min_length=1, description="Lower bounds of the entity lengths in the F1-by-length plot"
    )
    sentence_length_bins: list[Positive] = Field(
        min_length=1, description="Lower bounds of the sentence lengths, in characters"
    )
    frequency_bins: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="Lower bounds of an entity's frequency in train; 0: unseen"
    )
    confidence_bins: Positive = Field(
        description="Number of equal ranges, for the calibration error"
    )
    thresholds: list[Fraction] = Field(min_length=1, description="Of confidence")
    calibration: Calibration
    bootstrap: Bootstrap
    slices: dict[SliceName, Slice] = Field(description="Name → conditions")
    robustness: Robustness
