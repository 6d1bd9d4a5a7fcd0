"""Tries the export on an encoder's layers with random weights: `python -m` this module.

`train` starts it beside itself, so that no training is lost to an export that cannot work.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from stages.contract.command import command
from stages.contract.errors import StageError
from stages.model.encoder import make_thin
from stages.model.tagger import forward_of as torch_forward_of
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.onnx_files import MODEL
from stages.onnx_export.opened import device_of, opened, placement
from stages.onnx_export.session import forward_of
from stages.params.export import Export

LAYERS = 2
WINDOWS = ((3, 9), (1, 16))  # batch and length of two inputs


def try_export(params: Export, encoder: Path) -> None:
    """Exports two layers of the encoder's kind and compares them with torch on two inputs.

    Raises:
        StageError: torch cannot export it, ONNX Runtime not open it or not run it on CUDA, if that
            is required; in fp32 a logit is further from torch's than `logit_tolerance`, else not a
            number.
    """
    device = device_of(params)
    config = AutoConfig.from_pretrained(encoder, local_files_only=True, dtype="float32")
    token = make_thin(config, LAYERS)
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, MODEL)
        write_onnx(model, path, params.precision, params.opset, params.one_file_bytes)
        session = opened(params, path)
        placement(params, session, path)
        ours, expected = forward_of(session), torch_forward_of(model.to(device))
        for batch, length in WINDOWS:
            ids = token + np.arange(length) // 3 % 2 * np.ones((batch, 1), dtype=np.int64)
            mask = (np.arange(length) <= length - 1 - 2 * np.arange(batch)[:, None]).astype(int)
            difference = np.abs(ours(ids, mask) - expected(ids, mask))[mask == 1].max()
            _check(params, str(config.model_type), float(difference))


def main() -> None:
    """Tries it on data/encoder, and leaves the processor to a training first."""
    os.nice(10)
    command(
        Export,
        lambda params: try_export(params, Path("data/encoder")),
        "Try the export of data/encoder with random weights.",
    )


def _check(params: Export, family: str, difference: float) -> None:
    within = difference <= params.logit_tolerance or params.precision != "fp32"
    if not (within and np.isfinite(difference)):
        raise StageError(
            f"the {params.precision} ONNX model of an encoder of type {family} gives logits"
            f" {difference:.2e} away from torch's, more than export.logit_tolerance ="
            f" {params.logit_tolerance}; choose another download.encoder, such as bert,"
            " or another export.opset"
        )


if __name__ == "__main__":
    main()
