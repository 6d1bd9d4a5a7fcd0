"""Compares an ONNX model with the torch model on the same windows."""

import math

import numpy as np
from numpy.typing import NDArray

from stages.contract.errors import StageError
from stages.model.decode import Decoder
from stages.model.emissions import Forward
from stages.params.export import Export
from stages.scoring.spans import predict
from stages.text.windows_table import Aligned


class Compared:
    """The ONNX model's `Forward`, which also runs torch and counts the differences."""

    def __init__(self, onnx: Forward, torch: Forward) -> None:
        self._onnx, self._torch = onnx, torch
        self._logits: list[NDArray[np.float32]] = []
        self.difference = 0.0
        """The largest difference of a logit."""

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """The ONNX model's logits."""
        logits, expected = self._onnx(ids, mask), self._torch(ids, mask)
        self._logits.append(expected)
        real = mask.astype(np.bool_)
        ours, reference = logits[real].astype(np.float32), expected[real]
        # Not max(), which drops NaN.
        self.difference = float(np.maximum(self.difference, np.abs(ours - reference).max()))
        return logits

    def torch_predicted(
        self, split: Aligned, decoder: Decoder, tokens_per_batch: int
    ) -> list[NDArray[np.intp]]:
        """The labels by torch's logits, after `predict` ran on `split` in the same batches."""
        kept = iter(self._logits)
        return predict(split, lambda *_: next(kept), decoder, tokens_per_batch)[1]


def tag_agreement(ours: list[NDArray[np.intp]], torchs: list[NDArray[np.intp]]) -> float:
    """The share of cells with the same label in both."""
    return float((np.concatenate(ours) == np.concatenate(torchs)).mean())


def checked(
    params: Export, difference: float, agreement: float, f1: float, torch_f1: float
) -> dict[str, float]:
    """The figures of the comparison; `f1` is the ONNX model's.

    Raises:
        StageError: a logit is not a number; in fp32 a logit, else the tags or F1 are too far from
            torch's.
    """
    figures = {
        "logit_difference_max": difference,
        "tag_agreement": agreement,
        "f1_delta": f1 - torch_f1,
    }
    what = f"the {params.precision} model"
    if not math.isfinite(difference):
        raise StageError(
            f"a logit of {what}, ONNX or torch, is not a number; lower train.learning_rate"
            + ("" if params.precision == "fp32" else ", or set export.precision: fp32")
        )
    if params.precision == "fp32":
        if difference > params.logit_tolerance:
            raise StageError(
                f"a logit of the ONNX model is {difference:.2e} away from torch's, more"
                f" than export.logit_tolerance = {params.logit_tolerance}; try another opset"
                f" (now {params.opset})"
            )
        return figures
    if agreement < params.tag_agreement_min:
        raise StageError(
            f"{what} gives torch's tag to {agreement:.3%} of the cells, fewer than"
            f" export.tag_agreement_min = {params.tag_agreement_min:.3%}; set export.precision:"
            " fp32"
        )
    if abs(figures["f1_delta"]) > params.f1_delta_max:
        raise StageError(
            f"F1 of {what} is {figures['f1_delta']:+.4f} from torch's, further than"
            f" export.f1_delta_max = {params.f1_delta_max}; set export.precision: fp32"
        )
    return figures
