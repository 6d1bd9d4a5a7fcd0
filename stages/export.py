"""Writes the model as ONNX, proves that it equals torch, and scores the exported file."""

import hashlib
import json
import logging
import math
import warnings
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from stages.command import command
from stages.errors import StageError
from stages.ner import model as torch_model
from stages.ner.aligned import read_aligned
from stages.ner.labels import Labels
from stages.ner.metrics import predict, strict_scores
from stages.ner.sentences import sha256, write_counts
from stages.ner.session import CPU, CUDA, forward_of, open_session
from stages.outs import whole
from stages.params import Export
from stages.progress import progress


def export(
    params: Export, model: Path, aligned: Path, out: Path, report: Path, counts: Path
) -> dict[str, Any]:
    """Exports `model` (fp32, dynamic batch and length) and runs the whole test split through it.

    Writes `out` (model.onnx, tokenizer.json, labels.json: all that `stages.ner.tagger` needs),
    `report`: providers asked for and got, the largest difference of a logit from torch's, the
    share of equal tags, precision, recall and F1 of the ONNX file; and `counts`, a CSV of what was
    right in each sentence.

    Raises:
        StageError: `require_cuda` without the CUDA provider; a logit further from torch's than
            `logit_tolerance`, or no number; no model or data.
    """
    device = torch_model.choose_device(
        "cuda" if params.require_cuda else "cpu", "export.require_cuda", instead="false"
    )
    torch_model.make_repeatable(0, params.cpu_threads, deterministic=True)
    labels = Labels.read(aligned)
    split = read_aligned(aligned / "test.parquet")
    tagger = torch_model.load_tagger(model, torch.device("cpu"))
    with whole(out, report, counts) as [folder, report_file, counts_file]:
        folder.mkdir()
        _write_onnx(tagger, folder / "model.onnx", params.opset)
        copyfile(model / "tokenizer.json", folder / "tokenizer.json")
        labels.write(folder)
        session = open_session(folder / "model.onnx", params.require_cuda, params.cpu_threads)
        if params.require_cuda and session.get_providers()[0] != CUDA:
            raise StageError(
                f"export.require_cuda is true, but ONNX Runtime {ort.__version__} got"
                f" {session.get_providers()}; install the CUDA libraries that it asks for (its own"
                " message is above), or set export.require_cuda: false"
            )
        compared = _Compared(forward_of(session), torch_model.forward_of(tagger.to(device)))
        with progress(len(split.input_ids), f"check on {device}", " windows") as bar:
            _, predicted = predict(
                split, compared, labels.tags, params.tokens_per_batch, bar.update
            )
        if not math.isfinite(compared.difference):
            raise StageError(f"a logit of {model} is no number; lower train.learning_rate")
        if compared.difference > params.logit_tolerance:
            raise StageError(
                f"a logit of the ONNX model is {compared.difference:.2e} away from torch's, more"
                f" than export.logit_tolerance = {params.logit_tolerance}; try another opset"
                f" (now {params.opset})"
            )
        gold, found = (
            [[labels.tags[label] for label in sentence] for sentence in each]
            for each in (split.sentence_labels(), predicted)
        )
        write_counts(counts_file, gold, found)
        figures = {
            **strict_scores(gold, found),
            "test_sentences": len(gold),
            "test_sha256": sha256(split.sentence_cells(), gold),
            "providers_asked": [CUDA, CPU] if params.require_cuda else [CPU],
            "providers_got": session.get_providers(),
            "cuda_validated": session.get_providers()[0] == CUDA,
            "logit_difference_max": compared.difference,
            "tag_agreement": compared.same_tags / compared.tags,
            "opset": params.opset,
            "onnx_sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        }
        report_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return {"onnxruntime": ort.__version__, **torch_model.device_figures(device)}


def main() -> None:
    """Runs the stage below the present folder."""
    command(
        Export,
        lambda params: export(
            params,
            Path("models/ner"),
            Path("data/aligned"),
            Path("models/onnx"),
            Path("reports/export.json"),
            Path("reports/sentences.csv"),
        ),
        "Exports the model to ONNX and checks it on the test split.",
    )


class _Logits(nn.Module):
    """The model with plain tensors in and out."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _Compared:
    """The ONNX model's `Forward`, which keeps count of where torch differs."""

    def __init__(self, onnx_forward: Any, torch_forward: Any) -> None:
        self._onnx, self._torch = onnx_forward, torch_forward
        self.difference = 0.0
        self.same_tags = self.tags = 0

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._onnx(ids, mask)
        real = mask.astype(np.bool_)
        ours, reference = logits[real], self._torch(ids, mask)[real]
        # Not max(), which drops NaN.
        self.difference = float(np.maximum(self.difference, np.abs(ours - reference).max()))
        self.same_tags += int((ours.argmax(-1) == reference.argmax(-1)).sum())
        self.tags += len(ours)
        return logits


def _write_onnx(model: PreTrainedModel, path: Path, opset: int) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # Two sentences of four tokens: an axis of 1 would be taken for a constant. And two tensors:
    # of one given twice the exporter makes one input that stands for both.
    examples = (torch.ones((2, 4), dtype=torch.int64), torch.ones((2, 4), dtype=torch.int64))
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2)}
    with warnings.catch_warnings(action="ignore"):  # of the two inputs having the same axes
        program = torch.onnx.export(
            _Logits(model).eval(),
            examples,
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
            opset_version=opset,
            verbose=False,
        )
    if program is None:
        raise StageError("torch.onnx.export gave no program")
    proto = program.model_proto
    # Stack traces with this machine's paths stand in the metadata; the out must not depend on them.
    for node in [*proto.graph.node, *(n for f in proto.functions for n in f.node)]:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    proto.graph.ClearField("metadata_props")
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        value.ClearField("metadata_props")
    onnx.save(proto, path)


if __name__ == "__main__":
    main()
