"""Compares what is served with the test split, measure by measure, by two-sample tests."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ks_2samp  # type: ignore[import-untyped]

from pipelines.settings import Watch
from pipelines.watching.texts import Reference, Text

UNKNOWN_CHARACTERS = "unknown_characters"


@dataclass(frozen=True)
class Measure:
    """A figure of each text, or of some: entities of a text are alike, so they count as one.

    Attributes:
        title: What it is, for people.
        values: The figures.
        texts: The number of the text of each.
    """

    title: str
    values: NDArray[np.float64]
    texts: NDArray[np.intp]


@dataclass(frozen=True)
class Difference:
    """Where two samples differ most (Kolmogorov and Smirnov).

    Attributes:
        at: A value.
        test: The share of the test split's values that are above it.
        served: The share of the served ones.
        p: How likely so large a difference is by chance.
    """

    at: float
    test: float
    served: float
    p: float

    @property
    def distance(self) -> float:
        """Of the two shares, 0 to 1."""
        return abs(self.served - self.test)


@dataclass(frozen=True)
class Shift:
    """A measure of the texts that are served, compared with the test split.

    Attributes:
        name: Of the measure, as in MLflow.
        title: What it is, for people.
        test: Its mean in the test split; nan if there is no value.
        served: Its mean in the texts that are served; nan if there is no value.
        most: Where the two differ most; its p is corrected for the number of measures.
        shifted: Whether the difference is no chance, and large enough to matter.
        examples: Numbers of texts that show it, the most typical first.
    """

    name: str
    title: str
    test: float
    served: float
    most: Difference
    shifted: bool
    examples: list[int]


def compare(
    reference: Reference, test: Sequence[Text], served: Sequence[Text], settings: Watch
) -> list[Shift]:
    """Tests each measure.

    Args:
        reference: Whose characters and types are known.
        test: Its texts, in the form of the log.
        served: The texts of the log, at least one.
        settings: What counts as shifted.
    """
    before, now = (measures(each, reference.types, reference.known) for each in (test, served))
    found = {name: _difference(before[name].values, now[name].values) for name in now}
    corrected = false_discovery_control([each.p for each in found.values()])
    result = []
    for (name, each), p in zip(found.items(), corrected, strict=True):
        shifted = bool(p < settings.significance and each.distance >= settings.distance_min)
        result.append(
            Shift(
                name,
                now[name].title,
                _mean(before[name].values),
                _mean(now[name].values),
                replace(each, p=float(p)),
                shifted,
                _typical(now[name], each, settings.examples) if shifted else [],
            )
        )
    return result


def measures(
    texts: Sequence[Text], types: Sequence[str], known: frozenset[str]
) -> dict[str, Measure]:
    """Name → measure: unknown characters, length, entities of each type, scores."""
    each = np.arange(len(texts))
    lengths = np.array([len(text.text) for text in texts], np.float64)

    def per_hundred(counts: Iterable[int]) -> NDArray[np.float64]:
        return 100 * np.fromiter(counts, np.float64, len(texts)) / lengths

    unknown = per_hundred(sum(s.stop - s.start for s in text.unknown(known)) for text in texts)
    found = {UNKNOWN_CHARACTERS: Measure("unknown characters, of 100", unknown, each)}
    found["length"] = Measure("characters of a text", lengths, each)
    for type_ in types:
        counts = per_hundred(sum(s.type == type_ for s in text.scores) for text in texts)
        found[f"entities.{type_}"] = Measure(f"{type_}, of 100 characters", counts, each)
    some = [at for at, text in enumerate(texts) if text.scores]
    means = np.array([np.mean([*texts[at].scores.values()]) for at in some], np.float64)
    found["score"] = Measure("mean score of a text's entities", means, np.array(some, np.intp))
    return found


def _difference(test: NDArray[np.float64], served: NDArray[np.float64]) -> Difference:
    if not (len(test) and len(served)):  # no entity, no score: the rates of the types say so
        return Difference(0.0, 0.0, 0.0, 1.0)
    # The exact p takes seconds. With equal values, of which there are many, this one is too large.
    found = ks_2samp(served, test, method="asymp")
    at = float(found.statistic_location)
    return Difference(
        at, float((test > at).mean()), float((served > at).mean()), float(found.pvalue)
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _typical(measure: Measure, most: Difference, number: int) -> list[int]:
    """Texts of the values that there are too many of, the nearest to their median first."""
    above = measure.values > most.at
    chosen = above if most.served > most.test else ~above
    values, texts = measure.values[chosen], measure.texts[chosen]
    nearest = texts[np.argsort(np.abs(values - np.median(values)), kind="stable")]
    return [int(text) for text in dict.fromkeys(nearest)][:number]
