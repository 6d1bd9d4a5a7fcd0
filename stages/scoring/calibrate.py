"""Fits on dev what makes a probability of a confidence, and thresholds for a target precision."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from stages.params.evaluate import Calibration as Params
from stages.scoring.judged import JudgedSentences
from stages.scoring.mistakes import Judged
from stages.scoring.spans import scores
from stages.scoring.temperature import DIGITS, Calibration, TypeCalibration, log_odds

LOWEST, HIGHEST = 0.05, 20.0  # temperatures: of a handful of entities any may be the best


@dataclass(frozen=True)
class _Predicted:
    """The predicted entities of sentences, or some of them; each array is [entities]."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    type: NDArray[np.intp]
    """Its number among the types."""
    sentence: NDArray[np.int64]

    @classmethod
    def of(cls, judged: Iterable[Judged], types: Sequence[str]) -> "_Predicted":
        confidence, right, type_, number = array("d"), array("b"), array("q"), array("q")
        for at, sentence in enumerate(judged):
            for span in sentence.predicted:
                confidence.append(sentence.confidence[span])
                right.append(span in sentence.gold)
                type_.append(types.index(span.type))
                number.append(at)
        return cls(
            np.array(confidence, np.float64),
            np.array(right, np.bool_),
            np.array(type_, np.intp),
            np.array(number, np.int64),
        )

    def where(self, chosen: NDArray[np.bool_]) -> "_Predicted":
        return _Predicted(*(values[chosen] for values in vars(self).values()))

    @property
    def log_odds(self) -> NDArray[np.float64]:
        return np.array([log_odds(confidence) for confidence in self.confidence], np.float64)


def calibrate(params: Params, dev: JudgedSentences, types: Sequence[str]) -> Calibration:
    """Fits one temperature and bias for all types, and a type's own where they pay.

    They pay where `dev` has at least `own_entities` predicted ones of the type, and the type's own
    have the lower log loss on sentences that they were not fitted on. They change no tag, and not
    which of two entities of a type is the more probable.

    Args:
        params: What to aim at.
        dev: Its sentences, by the model's own confidence.
        types: The entity types of the labels.
    """
    found = _Predicted.of(dev, types)
    shared = _fit(found)
    fitted = {
        type_: _fitted(params, found, found.type == number, shared)
        for number, type_ in enumerate(types)
    }
    return _with_thresholds(params, fitted, dev.calibrated(Calibration(fitted)))


def _fitted(
    params: Params, found: _Predicted, of_type: NDArray[np.bool_], shared: tuple[float, float]
) -> TypeCalibration:
    """The calibration of a type, without its threshold."""
    predicted = int(of_type.sum())
    own = predicted >= params.own_entities and _own_pays(params, found, of_type)
    temperature, bias = _fit(found.where(of_type)) if own else shared
    return TypeCalibration(
        temperature=round(temperature, DIGITS),
        bias=round(bias, DIGITS),
        fitted_on=predicted if own else len(of_type),
        threshold=None,
        precision=0.0,
        recall=0.0,
        predicted=predicted,
    )


def _own_pays(params: Params, found: _Predicted, of_type: NDArray[np.bool_]) -> bool:
    """Whether the calibration of a type alone beats that of all types on unseen sentences."""
    gain = 0.0
    for fold in range(params.folds):
        unseen = found.sentence % params.folds == fold
        here = found.where(unseen & of_type)
        gain += _log_loss(here, *_fit(found.where(~unseen)))
        gain -= _log_loss(here, *_fit(found.where(~unseen & of_type)))
    return gain > 0


def _fit(found: _Predicted) -> tuple[float, float]:
    """The temperature and the bias with the least log loss; 1 and 0 if there is no entity.

    The targets are Platt's (1999), a little inside 0 and 1: without a mistake on dev all scores
    would otherwise be 1. A temperature alone brings no score of a doubtful entity below one half.
    """
    if not len(found.right):
        return 1.0, 0.0
    hits, misses = int(found.right.sum()), int((~found.right).sum())
    targets = np.where(found.right, (hits + 1) / (hits + 2), 1 / (misses + 2))
    odds, wanted = torch.from_numpy(found.log_odds), torch.from_numpy(targets)
    fitted = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([fitted], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        # By its logarithm the temperature stays above 0.
        value = cross_entropy(odds * torch.exp(-fitted[0]) + fitted[1], wanted)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    logarithm, bias = fitted.tolist()
    return min(max(math.exp(logarithm), LOWEST), HIGHEST), bias


def _log_loss(found: _Predicted, temperature: float, bias: float) -> float:
    odds = found.log_odds / temperature + bias
    return float((np.logaddexp(0, odds) - odds * found.right).sum())


def _with_thresholds(
    params: Params, fitted: Mapping[str, TypeCalibration], scored: JudgedSentences
) -> Calibration:
    """With the threshold of a type's entities; of all entities where it has too few."""
    found = _Predicted.of(scored, [*fitted])
    of_all = _threshold(found, params.target_precision)
    types = {}
    for number, (type_, row) in enumerate(fitted.items()):
        enough = row.predicted >= params.threshold_entities
        own = _threshold(found.where(found.type == number), params.target_precision)
        types[type_] = replace(row, threshold=own if enough else of_all)
    rates_of = scores(scored.passed(Calibration(types)))["types"]
    for type_, rates in rates_of.items():
        precision, recall = (round(rates[name], DIGITS) for name in ("precision", "recall"))
        types[type_] = replace(types[type_], precision=precision, recall=recall)
    return Calibration(types)


def _threshold(found: _Predicted, precision: float) -> float | None:
    """The lowest score of which, with all above it, at least that share is right."""
    order = np.argsort(found.confidence)
    hits = found.right[order][::-1].cumsum()[::-1]
    values, first = np.unique(found.confidence[order], return_index=True)
    reached = values[hits[first] / (len(order) - first) >= precision]
    return float(reached[0]) if len(reached) else None
